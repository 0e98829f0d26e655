// The examination, from inside a program.
#include "check.h"
#include "p21auth.hpp"

static bool has(const std::string &report, const char *part)
{
    return report.find(part) != std::string::npos;
}

int main()
{
    const std::string without = p21::doctor();
    CHECK(has(without, "\"ok\":true") && has(without, "\"token_requests\":0") && has(without, "\"skipped\""));

    // The token that this process has is used: no second session.
    const p21::default_client client;
    const std::string token = client.token();
    const std::string with = p21::doctor(P21_DOCTOR_TOKEN);
    CHECK(has(with, "\"token_requests\":0") && has(with, "\"odata\"") && !has(with, token.c_str()));
    CHECK(client.token() == token);
    const std::string same = p21::doctor(p21::config().load_env(), P21_DOCTOR_TOKEN);
    CHECK(has(same, "\"token_requests\":0") && client.token() == token);

    // What fails is a step of the report, not an error.
    const std::string unreachable = p21::doctor(p21::config().load_env().set("base_url", "http://127.0.0.1:9"));
    CHECK(has(unreachable, "\"ok\":false") && has(unreachable, "P21_E_CONNECT"));
    const std::string nothing = p21::doctor(p21::config());
    CHECK(has(nothing, "\"ok\":false") && has(nothing, "\"configuration\"") && has(nothing, "P21_E_CONFIG"));
    CHECK(p21::doctor(0, std::chrono::milliseconds(1)).front() == '{');
    puts("doctor: ok");
    return 0;
}
