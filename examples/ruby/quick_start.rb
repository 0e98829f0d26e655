# Ruby by fiddle: set P21_BASE_URL, P21_USERNAME and P21_PASSWORD, then
#
#     P21AUTH_LIBRARY=/usr/lib/libp21auth.so.1 ruby quick_start.rb
require "fiddle/import"

module P21
  extend Fiddle::Importer
  dlload ENV.fetch("P21AUTH_LIBRARY", "libp21auth.so.1")
  extern "int p21_token_get(void *, unsigned int, unsigned int, void **, void **)"
  extern "int p21_ui_url(void *, unsigned int, unsigned int, void **, void **)"
  extern "void p21_free(void *)"
  extern "const char *p21_error_message(void *)"
  extern "const char *p21_error_hint(void *)"
  extern "void p21_error_free(void *)"
  WITH_SCHEME = 4

  # Copies an owned string and frees the library's; nil is the default client, opened from the environment.
  def self.ask(call, flags = 0)
    Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE) do |out|
      Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE) do |err|
        if send(call, nil, flags, 0, out, err).zero?
          text = out.ptr.to_s
          p21_free(out.ptr)
          return text
        end
        what = "#{p21_error_message(err.ptr)} #{p21_error_hint(err.ptr)}"
        p21_error_free(err.ptr)
        raise what
      end
    end
  end
end

puts "Authorization: #{P21.ask(:p21_token_get, P21::WITH_SCHEME)[0, 12]}..."
puts "UI server: #{P21.ask(:p21_ui_url)}"
