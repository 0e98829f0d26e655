// C++17: a client from the environment, a token, an API's verdict.
#include <iostream>

#include "p21auth.hpp"

int main()
try {
    p21::client client = p21::client::from_env();
    const std::string header = client.token(P21_WITH_SCHEME);
    std::cout << "Authorization: " << header.substr(0, 12) << "...\n";
    std::cout << "UI server: " << client.ui_url() << "\n";

    const p21::token snapshot = client.snapshot();
    std::cout << "user " << snapshot.field("UserName").value_or("unknown") << ", " << snapshot.expires_in().count()
              << " s left\n";

    // An API said no: would another token help?
    const p21::verdict verdict = client.report(header, 403, "You are not authorized to access API");
    std::cout << p21::hint(verdict) << "\n";
    return verdict == p21::verdict::permission ? 0 : 1;
} catch (const p21::error &failure) {
    std::cerr << failure.what() << "\n";
    return 1;
}
