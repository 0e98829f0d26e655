// Every template and inline function of the C++ header, compiled but not run.
#include "p21auth.hpp"

template class p21::client_calls<p21::client>;
template class p21::client_calls<p21::default_client>;

int main()
{
    return p21::verdict::retry == p21::verdict::give_up ? 1 : 0;
}
