using System;
using System.Reflection;
using System.Reflection.Emit;

namespace Unusual;

public sealed class Couple<A, B> { public A? One; public B? Two; public int Number; }
public sealed class Knot { public Knot? Next; public long Number; }

/// Heaps that are large in one way, for measurements.
public static class Large
{
    static Knot? first;

    /// A list of a million nodes for each step of the scale.
    public static void List(int scale)
    {
        for (int number = 0; number < scale * 1_000_000; number++) first = new Knot { Next = first, Number = number };
        GC.KeepAlive(first);
    }

    /// A thousand instantiations of one generic type for each step of the scale, at most 40, three objects of each.
    public static void Types(int scale)
    {
        var module = AssemblyBuilder.DefineDynamicAssembly(new AssemblyName("Parts"), AssemblyBuilderAccess.Run).DefineDynamicModule("Parts");
        var parts = new Type[200];
        for (int number = 0; number < parts.Length; number++) parts[number] = module.DefineType($"Many.Part{number / 10}.Class{number}", TypeAttributes.Public).CreateType()!;
        for (int number = 0; number < scale * 1_000; number++)
        {
            var type = typeof(Couple<,>).MakeGenericType(parts[number / parts.Length], parts[number % parts.Length]);
            for (int copy = 0; copy < 3; copy++) Program.Keep.Add(Activator.CreateInstance(type)!);
        }
    }
}
