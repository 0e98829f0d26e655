using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace LibP21Auth
{
    /// <summary>One field of a <see cref="TokenResponse"/>. It converts the way a JSON library's values do, so that code written for one
    /// keeps working: <c>data["ExpiresInSeconds"]?.Value&lt;int&gt;()</c>, <c>(string)data["Scope"]</c>.</summary>
    /// <remarks>Immutable and safe for use by any number of threads.</remarks>
    [DebuggerDisplay("a field of a token reply")]
    public sealed class TokenValue
    {
        [DebuggerBrowsable(DebuggerBrowsableState.Never)]
        private readonly object? value;

        internal TokenValue(object? value)
        {
            this.value = value;
        }

        /// <summary>The value itself: <see langword="null"/>, <see cref="string"/>, <see cref="long"/>, <see cref="double"/>, <see cref="bool"/>, a
        /// dictionary by name, or a list.</summary>
        public object? ToObject() => value;

        /// <summary>Whether the server sent null or nothing.</summary>
        public bool IsNull => value == null;

        /// <summary>A field of an object such as <c>Claims</c>, or <see langword="null"/> if there is none of that name.</summary>
        /// <param name="name">Name of the field, case matters.</param>
        public TokenValue? this[string name] =>
            value is IDictionary<string, object?> fields && fields.TryGetValue(name, out var field) ? new TokenValue(field) : null;

        /// <summary>The value as another type.</summary>
        /// <typeparam name="T"><see cref="string"/>, a number, <see cref="bool"/>; from a text also <see cref="Guid"/>,
        /// <see cref="DateTimeOffset"/> and others that have a converter; or a nullable of these.</typeparam>
        /// <returns>The value; <see langword="null"/> if it is null and <typeparamref name="T"/> can be.</returns>
        /// <exception cref="InvalidCastException">The value is null and <typeparamref name="T"/> cannot be, or it is an object or list.</exception>
        /// <exception cref="FormatException">The text is not a number.</exception>
        /// <exception cref="OverflowException">The number does not fit.</exception>
        public T Value<T>()
        {
            if (value == null)
            {
                return default(T) == null ? default! : throw new InvalidCastException("the field is null and has no value of type " + typeof(T).Name);
            }
            var type = Nullable.GetUnderlyingType(typeof(T)) ?? typeof(T);
            try
            {
                return (T)(type == typeof(string) || type == typeof(object) ? ToString()
                    // Numbers and booleans; else what the type itself makes of a text.
                    : type.IsPrimitive || type == typeof(decimal) ? Convert.ChangeType(value, type, CultureInfo.InvariantCulture)
                    : value is string text ? TypeDescriptor.GetConverter(type).ConvertFromInvariantString(text)!
                    : throw new InvalidCastException());
            }
            // Their own messages may quote the value, which may be a token.
            catch (OverflowException)
            {
                throw new OverflowException("the field does not fit into a " + type.Name);
            }
            catch (Exception error) when (error is InvalidCastException or NotSupportedException)
            {
                throw new InvalidCastException("the field cannot become a " + type.Name);
            }
            catch (Exception)
            {
                throw new FormatException("the field's text is not a " + type.Name);
            }
        }

        /// <summary>The text, as <c>JsonElement</c> has it; <see langword="null"/> for null.</summary>
        /// <exception cref="InvalidOperationException">The value is no text.</exception>
        public string? GetString() => value is null or string ? (string?)value : throw NotA("text");

        /// <summary>The whole number, as <c>JsonElement</c> has it.</summary>
        /// <exception cref="InvalidOperationException">The value is no number.</exception>
        /// <exception cref="FormatException">It is too large.</exception>
        public int GetInt32() => GetInt64() is var number && number == (int)number ? (int)number : throw new FormatException("the number needs 64 bits");

        /// <summary>The whole number, as <c>JsonElement</c> has it.</summary>
        /// <exception cref="InvalidOperationException">The value is no whole number.</exception>
        public long GetInt64() => value is long number ? number : throw NotA("whole number");

        /// <summary>True or false, as <c>JsonElement</c> has it.</summary>
        /// <exception cref="InvalidOperationException">The value is neither.</exception>
        public bool GetBoolean() => value is bool flag ? flag : throw NotA("truth value");

        /// <summary>A field of an object such as <c>Claims</c>, as <c>JsonElement</c> has it.</summary>
        /// <param name="name">Name of the field, case matters.</param>
        /// <exception cref="KeyNotFoundException">There is no field of that name.</exception>
        public TokenValue GetProperty(string name) => this[name] ?? throw new KeyNotFoundException("there is no field " + name);

        private static InvalidOperationException NotA(string what) => new InvalidOperationException("the field is no " + what);

        /// <summary>The value as text, empty for null; secrets come out as they are.</summary>
        public override string ToString() => value switch
        {
            null => "",
            bool flag => flag ? "true" : "false",
            _ => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "",
        };

        /// <summary>The text, or <see langword="null"/> for a missing or null field.</summary>
        /// <param name="value">The field.</param>
        public static explicit operator string?(TokenValue? value) => value == null || value.IsNull ? null : value.ToString();

        /// <summary>The whole number.</summary>
        /// <param name="value">The field.</param>
        /// <exception cref="ArgumentNullException">There is no such field.</exception>
        public static explicit operator int(TokenValue? value) => Present(value).Value<int>();

        /// <summary>The whole number.</summary>
        /// <param name="value">The field.</param>
        /// <exception cref="ArgumentNullException">There is no such field.</exception>
        public static explicit operator long(TokenValue? value) => Present(value).Value<long>();

        /// <summary>The number.</summary>
        /// <param name="value">The field.</param>
        /// <exception cref="ArgumentNullException">There is no such field.</exception>
        public static explicit operator double(TokenValue? value) => Present(value).Value<double>();

        /// <summary>The whole number, or <see langword="null"/> for a missing or null field.</summary>
        /// <param name="value">The field.</param>
        public static explicit operator int?(TokenValue? value) => value?.Value<int?>();

        private static TokenValue Present(TokenValue? value) => value ?? throw new ArgumentNullException(nameof(value));
    }
}
