using System;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace LibP21Auth
{
    /// <summary>A setting that is, or may hold, a secret: a string that no log, serializer or debugger shows.</summary>
    /// <remarks>A <see cref="string"/> converts by itself, so <c>options.Password = "…"</c> is all there is to write. It has no property
    /// that something which walks over objects could read; <see cref="Reveal"/> returns the text. Immutable.</remarks>
    [TypeConverter(typeof(FromText))]
#if NET5_0_OR_GREATER
    [System.Text.Json.Serialization.JsonConverter(typeof(Json))]
#endif
    [DebuggerDisplay("***")]
    public sealed class P21Secret
    {
        [DebuggerBrowsable(DebuggerBrowsableState.Never)]
        private readonly string text;

        private P21Secret(string text)
        {
            this.text = text;
        }

        /// <summary>A secret of this text; <see langword="null"/> for <see langword="null"/>.</summary>
        /// <param name="text">The text.</param>
        public static implicit operator P21Secret?(string? text) => text == null ? null : new P21Secret(text);

        /// <summary>The text itself.</summary>
        public string Reveal() => text;

        /// <summary>Always <c>***</c>.</summary>
        public override string ToString() => "***";

        /// <summary>What binds configuration files to objects needs this.</summary>
        private sealed class FromText : TypeConverter
        {
            public override bool CanConvertFrom(ITypeDescriptorContext? context, Type sourceType) => sourceType == typeof(string);

            public override object? ConvertFrom(ITypeDescriptorContext? context, CultureInfo? culture, object value) => (P21Secret?)(string)value;
        }

#if NET5_0_OR_GREATER
        /// <summary>Reads a secret, and writes null in its place.</summary>
        private sealed class Json : System.Text.Json.Serialization.JsonConverter<P21Secret>
        {
            public override P21Secret? Read(ref System.Text.Json.Utf8JsonReader reader, Type type, System.Text.Json.JsonSerializerOptions options) =>
                reader.GetString();

            public override void Write(System.Text.Json.Utf8JsonWriter writer, P21Secret value, System.Text.Json.JsonSerializerOptions options) =>
                writer.WriteNullValue();
        }
#endif
    }
}
