using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace LibP21Auth.Interop
{
    /// <summary>Reads the JSON that the library hands out: objects become dictionaries, whole numbers <see cref="long"/>.</summary>
    /// <remarks>The framework's own readers would cost more than the rest of a start: .NET Framework has none without a package, and
    /// loading the one of .NET takes longer than the token request. The input is our own library's, so errors are bugs.</remarks>
    internal sealed class Json
    {
        private readonly string text;
        private int at;

        private Json(string text)
        {
            this.text = text;
        }

        internal static Dictionary<string, object?> Object(string text) => (Dictionary<string, object?>)Parse(text)!;

        internal static object? Parse(string text)
        {
            var json = new Json(text);
            object? value = json.Value();
            json.Blanks();
            return json.at == text.Length ? value : throw json.Bad();
        }

        private object? Value()
        {
            Blanks();
            switch (Peek())
            {
                case '{':
                    var fields = new Dictionary<string, object?>(StringComparer.Ordinal);
                    for (at++; !Ends('}', fields.Count > 0);)
                    {
                        Blanks();
                        string name = Text();
                        Blanks();
                        Expect(":");
                        fields[name] = Value();
                    }
                    return fields;
                case '[':
                    var items = new List<object?>();
                    for (at++; !Ends(']', items.Count > 0);)
                    {
                        items.Add(Value());
                    }
                    return items;
                case '"':
                    return Text();
                case 't':
                    Expect("true");
                    return true;
                case 'f':
                    Expect("false");
                    return false;
                case 'n':
                    Expect("null");
                    return null;
                default:
                    return Number();
            }
        }

        /// <summary>At the end of an object or list; else steps over the comma between two members.</summary>
        private bool Ends(char close, bool comma)
        {
            Blanks();
            if (Peek() == close)
            {
                at++;
                return true;
            }
            if (comma)
            {
                Expect(",");
            }
            return false;
        }

        private object Number()
        {
            int start = at;
            while (at < text.Length && "+-.0123456789eE".IndexOf(text[at]) >= 0)
            {
                at++;
            }
            string number = text.Substring(start, at - start);
            if (long.TryParse(number, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long whole))
            {
                return whole;
            }
            return double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out double real) ? real : throw Bad();
        }

        private string Text()
        {
            Expect("\"");
            int start = at;
            int end = text.IndexOfAny(QuoteOrEscape, at);
            if (end >= 0 && text[end] == '"')
            {
                at = end + 1;
                return text.Substring(start, end - start);
            }
            var result = new StringBuilder();
            while (Peek() != '"')
            {
                char c = text[at++];
                result.Append(c == '\\' ? Escaped() : c);
            }
            at++;
            return result.ToString();
        }

        private char Escaped()
        {
            char c = Peek();
            at++;
            switch (c)
            {
                case 'b': return '\b';
                case 'f': return '\f';
                case 'n': return '\n';
                case 'r': return '\r';
                case 't': return '\t';
                case 'u':
                    if (at + 4 > text.Length)
                    {
                        throw Bad();
                    }
                    at += 4;
                    return (char)ushort.Parse(text.Substring(at - 4, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
                default: return c;
            }
        }

        private static readonly char[] QuoteOrEscape = { '"', '\\' };

        private void Blanks()
        {
            while (at < text.Length && text[at] <= ' ')
            {
                at++;
            }
        }

        private char Peek() => at < text.Length ? text[at] : throw Bad();

        private void Expect(string word)
        {
            if (string.CompareOrdinal(text, at, word, 0, word.Length) != 0)
            {
                throw Bad();
            }
            at += word.Length;
        }

        // The text may hold a token: it stays out of the message.
        private FormatException Bad() => new FormatException("unexpected JSON from the native library at character " + at);
    }
}
