using System;
using System.Collections.Generic;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;

namespace Unusual;

/// Types made at run time: with names of every kind, collectible or not, and very many instantiations of one generic type.
public static class Emitted
{
    static readonly string[] names = { "Plain", "Space.In.Namespace.Type", "<script>alert(1)</script>", "\u202eesrever\u202c", "emoji \U0001F600", "tab\tand\nline", new string('L', 1_000), "Back`tick", "Back`1tick", "Generic`2x", "With,Comma [and] *&+\\" };

    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Build(int scale)
    {
        var counts = new Dictionary<string, int> { ["Made.Generic<System.Guid>"] = 2, ["delegate*<System.Int32, System.Void>[]"] = 60 };
        foreach (var access in new[] { AssemblyBuilderAccess.Run, AssemblyBuilderAccess.RunAndCollect })
        {
            var module = AssemblyBuilder.DefineDynamicAssembly(new AssemblyName("Emitted" + access), access).DefineDynamicModule("Emitted" + access);
            foreach (string name in names)
                Program.Keep.Add(Make(module, name));
            Program.Keep.Add(Generic(module));
        }
        for (int number = 0; number < 50 * scale; number++)
        {
            Program.Keep.Add(Activator.CreateInstance(typeof(Deep<>).MakeGenericType(Struct(number)))!);
            counts[$"Unusual.Deep<Many.Value{number}>"] = 1;
        }
        Program.Truth["types"] = counts;
    }

    static readonly ModuleBuilder many = AssemblyBuilder.DefineDynamicAssembly(new AssemblyName("Many"), AssemblyBuilderAccess.Run).DefineDynamicModule("Many");

    static Type Struct(int number)
    {
        var type = many.DefineType($"Many.Value{number}", TypeAttributes.Public | TypeAttributes.Sealed | TypeAttributes.SequentialLayout, typeof(ValueType));
        for (int field = 0; field <= number % 5; field++) type.DefineField($"field{field}", field % 2 == 0 ? typeof(int) : typeof(string), FieldAttributes.Public);
        return type.CreateType();
    }

    static object Make(ModuleBuilder module, string name)
    {
        var type = module.DefineType(name, TypeAttributes.Public);
        type.DefineField("number", typeof(int), FieldAttributes.Public);
        type.DefineField("<b>" + name[..Math.Min(name.Length, 50)], typeof(string), FieldAttributes.Public);
        type.DefineField("shared", typeof(object), FieldAttributes.Public | FieldAttributes.Static);
        return Activator.CreateInstance(type.CreateType())!;
    }

    static object Generic(ModuleBuilder module)
    {
        var type = module.DefineType("Made.Generic`1", TypeAttributes.Public);
        var parameter = type.DefineGenericParameters("TMade")[0];
        type.DefineField("value", parameter, FieldAttributes.Public);
        type.DefineField("pair", typeof(Pair<,>).MakeGenericType(parameter, typeof(int)), FieldAttributes.Public);
        return Activator.CreateInstance(type.CreateType().MakeGenericType(typeof(Guid)))!;
    }
}

/// This assembly again in load contexts of its own: one that stays, one that is unloaded but held, one that is gone.
public static class Contexts
{
    static readonly object[] held = new object[2];

    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Build()
    {
        held[0] = Load("stays", false, false);
        held[1] = Load("unloaded, but an object is left", true, true);
        Load("gone", true, true);
        Program.Keep.Add(held);
        for (int i = 0; i < 3; i++) { GC.Collect(); GC.WaitForPendingFinalizers(); }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static object Load(string name, bool collectible, bool unload)
    {
        var context = new AssemblyLoadContext(name, collectible);
        var assembly = context.LoadFromAssemblyPath(typeof(Contexts).Assembly.Location);
        var made = Activator.CreateInstance(assembly.GetType("Unusual.TripleHolder`1")!.MakeGenericType(typeof(string)))!;
        if (unload) context.Unload();
        return made;
    }
}
