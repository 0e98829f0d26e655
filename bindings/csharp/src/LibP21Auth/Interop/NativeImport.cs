using System;
using System.ComponentModel;
using System.Reflection;
using System.Runtime.InteropServices;

namespace LibP21Auth.Interop
{
    /// <summary>Loads a library by its path and makes <see cref="DllImportAttribute"/> mean it, on each kind of runtime.</summary>
    internal static class NativeImport
    {
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate int AbiVersion();

        /// <summary>Takes the file if it is this library in the right version; the problem, or <see langword="null"/>.</summary>
        /// <remarks>A function is bound to the first library in which it is looked up. So the version is asked for by the function's
        /// address, before anything is bound.</remarks>
        internal static string? Bind(string path)
        {
            string? problem = Load(path, out var module);
            if (problem != null)
            {
                return problem;
            }
            var function = Export(module, nameof(NativeMethods.p21_abi_version));
            int version = function == IntPtr.Zero ? -1 : Marshal.GetDelegateForFunctionPointer<AbiVersion>(function)();
            if (version == Native.AbiVersion)
            {
                Use(path, module);
                return null;
            }
            Free(module);
            return function == IntPtr.Zero
                ? "not this library: it has no p21_abi_version"
                : "has version " + version + " of the C interface, this package needs " + Native.AbiVersion
                    + "; install the library and the package from the same release";
        }

        private static IntPtr chosen;

        private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? search) =>
            name == NativeMethods.Library ? chosen : IntPtr.Zero;

#if NET5_0_OR_GREATER
        private static string? Load(string path, out IntPtr module)
        {
            try
            {
                module = NativeLibrary.Load(path);
                return null;
            }
            catch (Exception error) when (error is DllNotFoundException or BadImageFormatException)
            {
                module = IntPtr.Zero;
                return error.Message;
            }
        }

        private static IntPtr Export(IntPtr module, string name) => NativeLibrary.TryGetExport(module, name, out var address) ? address : IntPtr.Zero;

        private static void Free(IntPtr module) => NativeLibrary.Free(module);

        private static void Use(string path, IntPtr module)
        {
            chosen = module;
            NativeLibrary.SetDllImportResolver(typeof(NativeMethods).Assembly, Resolve);
        }
#else
        private static bool IsMono => Type.GetType("Mono.Runtime") != null;

        private static string? Load(string path, out IntPtr module)
        {
            if (IsMono)
            {
                module = dlopen(Utf8.Bytes(path, "path"), Now);
                return module != IntPtr.Zero ? null : Utf8.Read(dlerror());
            }
            if (Platform.IsWindows)
            {
                module = LoadLibraryEx(path, IntPtr.Zero, LoadWithAlteredSearchPath);
                return module != IntPtr.Zero ? null : new Win32Exception(Marshal.GetLastWin32Error()).Message;
            }
            module = IntPtr.Zero;
            if (Modern == null)
            {
                return "this runtime cannot load a library by its path; use .NET Core 3.0 or newer";
            }
            try
            {
                module = (IntPtr)Modern.GetMethod("Load", new[] { typeof(string) })!.Invoke(null, new object[] { path })!;
                return null;
            }
            catch (TargetInvocationException error) when (error.InnerException is DllNotFoundException or BadImageFormatException)
            {
                return error.InnerException.Message;
            }
        }

        private static IntPtr Export(IntPtr module, string name)
        {
            if (IsMono)
            {
                return dlsym(module, Utf8.Bytes(name, "name"));
            }
            if (Platform.IsWindows)
            {
                return GetProcAddress(module, Utf8.Bytes(name, "name"));
            }
            var arguments = new object?[] { module, name, null };
            return (bool)Modern!.GetMethod("TryGetExport")!.Invoke(null, arguments)! ? (IntPtr)arguments[2]! : IntPtr.Zero;
        }

        private static void Free(IntPtr module)
        {
            if (IsMono)
            {
                dlclose(module);
            }
            else if (Platform.IsWindows)
            {
                FreeLibrary(module);
            }
            else
            {
                Modern!.GetMethod("Free")!.Invoke(null, new object[] { module });
            }
        }

        private static void Use(string path, IntPtr module)
        {
            if (IsMono)
            {
                // Mono asks dlopen for variants of the bare name; this tells it the path instead.
                mono_dllmap_insert(IntPtr.Zero, Utf8.Bytes(NativeMethods.Library, "name"), null, Utf8.Bytes(path, "path"), null);
            }
            else if (!Platform.IsWindows)
            {
                chosen = module;
                var resolver = Type.GetType("System.Runtime.InteropServices.DllImportResolver, System.Runtime.InteropServices", true)!;
                var resolve = typeof(NativeImport).GetMethod(nameof(Resolve), BindingFlags.NonPublic | BindingFlags.Static)!;
                Modern!.GetMethod("SetDllImportResolver")!.Invoke(
                    null, new object[] { typeof(NativeMethods).Assembly, Delegate.CreateDelegate(resolver, resolve) });
            }
            // On Windows a module that is loaded is found by its bare name.
        }

        /// <summary>Of this assembly on a modern .NET that is not Windows: the class exists there, but not in what we compile against.</summary>
        private static Type? Modern => Type.GetType("System.Runtime.InteropServices.NativeLibrary, System.Runtime.InteropServices");

        private const uint LoadWithAlteredSearchPath = 8;
        private const int Now = 2;

        [DllImport("kernel32", CharSet = CharSet.Unicode, EntryPoint = "LoadLibraryExW", ExactSpelling = true, SetLastError = true)]
        private static extern IntPtr LoadLibraryEx(string path, IntPtr reserved, uint flags);

        [DllImport("kernel32", ExactSpelling = true)]
        private static extern IntPtr GetProcAddress(IntPtr module, byte[] name);

        [DllImport("kernel32", ExactSpelling = true)]
        private static extern int FreeLibrary(IntPtr module);

        // What Mono itself is linked to.
        [DllImport("__Internal", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        private static extern IntPtr dlopen(byte[] path, int flags);

        [DllImport("__Internal", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        private static extern IntPtr dlsym(IntPtr module, byte[] name);

        [DllImport("__Internal", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        private static extern int dlclose(IntPtr module);

        [DllImport("__Internal", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        private static extern IntPtr dlerror();

        [DllImport("__Internal", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        private static extern void mono_dllmap_insert(IntPtr assembly, byte[] library, byte[]? function, byte[] path, byte[]? target);
#endif
    }
}
