// Reads P21_BASE_URL, P21_USERNAME and P21_PASSWORD (or P21_CONSUMER_KEY) from the environment.
#include <iostream>
#include <string>

#include "p21auth.hpp"

int main()
{
    try {
        p21::client client = p21::client::from_env();
        // The first call asks the server; the next ones, in any thread, take nanoseconds.
        std::string token = client.get_token();
        std::cout << "Authorization: Bearer ... (" << token.size() << " characters)\n";
        std::cout << "UI server: " << client.ui_url() << '\n';
    } catch (const p21::error &error) {
        std::cerr << error.what() << '\n' << error.hint() << '\n';
        return 1;
    }
}
