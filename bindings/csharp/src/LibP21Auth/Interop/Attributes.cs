#if !NET5_0_OR_GREATER
// What the older targets lack, so that one source serves all.
namespace System.Diagnostics.CodeAnalysis
{
    /// <summary>Compilers know it by its name.</summary>
    [AttributeUsage(AttributeTargets.Parameter)]
    internal sealed class NotNullWhenAttribute : Attribute
    {
        public NotNullWhenAttribute(bool returnValue) => ReturnValue = returnValue;

        public bool ReturnValue { get; }
    }
}

namespace System.Text.Json.Serialization
{
    /// <summary>Means something on .NET alone; elsewhere that serializer leaves fields out unless told otherwise.</summary>
    [AttributeUsage(AttributeTargets.Field)]
    internal sealed class JsonIgnoreAttribute : Attribute
    {
    }
}
#endif
