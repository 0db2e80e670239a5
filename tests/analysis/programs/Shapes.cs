using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;

namespace Unusual;

public class Deep<T> { public T? Value; public Deep<Deep<T>>? Deeper; }
public class Outer<TFirst>
{
    public class Middle { public class Inner<TSecond, TThird> { public TFirst? First; public TSecond? Second; public TThird? Third; public struct Leaf<TFourth> { public TFirst? F; public TFourth? Fourth; public int Number; } } }
    public struct Cell { public TFirst? Value; public short Count; }
    public enum Kind : short { One = 1, Two = -2 }
    public delegate TFirst? Maker(int number);
}
public struct Pair<TA, TB> { public TA? A; public TB? B; }
public struct Triple<T> { public Pair<T, Pair<int, T>> Left; public Outer<T>.Cell Right; public byte Tail; }
public class TripleHolder<T> { public Triple<T> Held; public Triple<T>[]? Many; public byte After; }

public enum OfSByte : sbyte { A = -1 } public enum OfByte : byte { A = 200 } public enum OfInt16 : short { A = -300 } public enum OfUInt16 : ushort { A = 60000 }
public enum OfInt32 { A = -70000 } public enum OfUInt32 : uint { A = 4000000000 } public enum OfInt64 : long { A = long.MinValue } public enum OfUInt64 : ulong { A = ulong.MaxValue }

public unsafe class Pointers
{
    public int* Number; public void* Anything; public char** Texts; public delegate*<int, long, void> Managed; public delegate* unmanaged[Cdecl]<byte*, int> Unmanaged; public nint Native; public Pair<int, int>* Structs;
}
public unsafe struct FixedBuffer { public fixed byte Bytes[37]; public int After; }
[StructLayout(LayoutKind.Explicit)] public struct Union { [FieldOffset(0)] public long Whole; [FieldOffset(0)] public int Low; [FieldOffset(4)] public int High; [FieldOffset(2)] public byte Third; }
[StructLayout(LayoutKind.Explicit, Size = 64)] public class ExplicitClass { [FieldOffset(8)] public long At8; [FieldOffset(32)] public string? Text; [FieldOffset(40)] public byte At40; }
[StructLayout(LayoutKind.Sequential, Pack = 1)] public struct Packed { public byte One; public long Eight; public short Two; }
[StructLayout(LayoutKind.Sequential, Size = 100)] public struct Padded { public int Only; }
[InlineArray(7)] public struct SevenStrings { string? first; }
[InlineArray(3)] public struct ThreePairs { Pair<int, string> first; }
public class InlineHolder { public byte Before; public SevenStrings Strings; public ThreePairs Pairs; public FixedBuffer Buffer; public Union Union; public Packed Packed; public Padded Padded; public byte After; }
public struct Empty { } public class EmptyHolder { public Empty First; public int Number; public Empty Second; public byte Last; }
public class EmptyClass { } public abstract class Abstract<T> { protected T? inherited; private byte hidden = 1; } public sealed class Concrete : Abstract<Dictionary<string, int[]>> { private byte hidden = 2; public object? Own; }
public readonly record struct Record(int Number, string Text); public record class RecordClass(int Number, RecordClass? Next);
public interface IShape<out T> { T? Get(); } public class Shaped<T> : IShape<T> where T : class { public T? Get() => null; }
public class Wide { public Int128 I128; public UInt128 U128; public decimal Money; public Half Half; public Vector<float> Vector; public (int, string, (long, byte), DateTime, Guid, int?, char, double) Tuple; public int? Some = 3; public Guid? NoGuid; public DateTimeOffset? When = DateTimeOffset.UnixEpoch; }
public struct Vector<T> { public T X, Y, Z; }
public class Statics<T> { public static T? Shared; public static readonly List<T> Items = new(); [ThreadStatic] public static T? PerThread; [ThreadStatic] static int number; public static void Touch(T value) { Shared = value; PerThread = value; Items.Add(value); number++; } }
public class ΛКлассτύπος { public int число = 5; public string 名前 = "日本語 \U0001F600"; public object? @class; }

public static class Shapes
{
    static readonly FieldInfoHolder holder = new();
    class FieldInfoHolder { public volatile int Counter; public readonly ReaderWriterLockSlim Gate = new(); }
    static object frozenText = "a literal, which may live on a frozen segment";

    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Build()
    {
        var keep = Program.Keep;
        keep.Add(MakeDeep(20));
        // So many of each that all of them are among the types whose fields the reference lists.
        for (int copy = 0; copy < 60; copy++) { Generics(keep); Layouts(keep); Arrays(keep); }
        Delegates(keep); _ = Waiting(keep.Count, "state"); keep.Add(Iterate(3).GetEnumerator());
        Statics<int>.Touch(7); Statics<string>.Touch("shared"); Statics<Pair<int, string>>.Touch(default);
        Memory(keep);
    }

    static void Generics(List<object> keep)
    {
        keep.AddRange(new object[] { new Outer<string>.Middle.Inner<int, List<double>>(), new Outer<int>.Middle.Inner<string, byte>(), new Outer<Outer<int>.Cell>.Middle.Inner<Outer<string>.Kind, Outer<long>.Cell[]>() });
        keep.AddRange(new object[] { new Outer<string>.Middle.Inner<int, long>.Leaf<Guid>[5], new Outer<Guid>.Middle.Inner<string, long>.Leaf<object>(), Outer<string>.Kind.Two, (Outer<int>.Maker)(n => n + 1), (Outer<string>.Maker)Describe });
        keep.AddRange(new object[] { new Pair<int, string>[9], new Pair<Pair<int, byte>, Pair<string, Pair<long, char>>>[3], new TripleHolder<int>(), new TripleHolder<string> { Many = new Triple<string>[2] }, new TripleHolder<Pair<byte, object>>(), new Triple<decimal>() });
        keep.AddRange(new object[] { new Concrete(), new Record(1, "one"), new RecordClass(1, new RecordClass(2, null)), new Shaped<string>(), new Statics<long>(), new Wide(), new ΛКлассτύπος() });
    }

    static void Layouts(List<object> keep)
    {
        keep.AddRange(new object[] { OfSByte.A, OfByte.A, OfInt16.A, OfUInt16.A, OfInt32.A, OfUInt32.A, OfInt64.A, OfUInt64.A, new OfByte[3], new OfUInt64[3], new OfInt32?[2] });
        keep.AddRange(new object[] { new Pointers(), new FixedBuffer(), new Union { Whole = -1 }, new ExplicitClass { Text = "explicit" }, new Packed(), new Packed[3], new Padded(), new Padded[2], new InlineHolder(), new SevenStrings() });
        keep.AddRange(new object[] { new Empty(), new Empty[4], new EmptyHolder(), new EmptyClass() });
    }

    static object MakeDeep(int levels)
    {
        var type = typeof(int);
        for (int level = 0; level < levels; level++)
            type = typeof(Deep<>).MakeGenericType(type);
        return Activator.CreateInstance(type)!;
    }

    static string? Describe(int number) => number.ToString();

    static unsafe void Arrays(List<object> keep)
    {
        keep.AddRange(new object[] { new int[2][][], new string[3][,], new object[1, 2, 3], new int[4, 5][], new byte[1, 1, 1, 1, 1, 1, 1, 1], new int*[4], new delegate*<int, void>[3], new int?[5], new char[0], new bool[3][,,][], new Pair<int, int>[2, 2], new List<int>[2], new Dictionary<string, List<int>>[1][] });
        keep.Add(Array.CreateInstance(typeof(int), new[] { 5 }, new[] { 10 })); keep.Add(Array.CreateInstance(typeof(string), new[] { 2, 3 }, new[] { -1, 7 })); keep.Add(Array.CreateInstance(typeof(Pair<int, string>), new[] { 2 }, new[] { 1 })); keep.Add(Array.CreateInstance(typeof(long), Ones(32)));
    }

    static int[] Ones(int count) { var lengths = new int[count]; Array.Fill(lengths, 1); return lengths; }

    static void Delegates(List<object> keep)
    {
        int captured = 5; string text = "captured";
        Action first = () => captured++; Func<string, int> second = s => s.Length + text.Length + captured; Action all = first + (() => text += "x") + Console.WriteLine;
        keep.AddRange(new object[] { first, second, all, new Comparison<(int, string)>((a, b) => 0), new EventHandler<AssemblyLoadEventArgs>((_, _) => { }) });
        keep.Add((Func<Func<int>>)(() => () => captured));
    }

    static async Task<int> Waiting<T>(int number, T value) { var source = new TaskCompletionSource<(T, int)>(); Program.Keep.Add(source); var (_, got) = await source.Task.ConfigureAwait(false); await foreach (int x in Stream(number)) got += x; return got; }
    static async IAsyncEnumerable<int> Stream(int number) { for (int i = 0; i < number; i++) { await Task.Yield(); yield return i; } }
    static IEnumerable<(int, T)> Iterate<T>(T value) { for (int i = 0; ; i++) yield return (i, value); }

    static void Memory(List<object> keep)
    {
        keep.AddRange(new object[] { GC.AllocateArray<byte>(1000, pinned: true), GC.AllocateArray<long>(20_000, pinned: true), GC.AllocateUninitializedArray<byte>(3_000), GCHandle.Alloc(new byte[77], GCHandleType.Pinned) });
        for (int i = 0; i < 20; i++) { var big = new byte[90_000 + i * 1000]; if (i % 3 == 0) keep.Add(big); }
        keep.Add(new string('ä', 100_000)); keep.Add("nul\0inside\0"); keep.Add(new string(new[] { '\ud800', 'x', '\udc00', '\udfff' })); keep.Add("\u202egnp.exe\u202c <b>markup</b> & \u0007"); keep.Add(new string(' ', 1)); keep.Add(string.Intern(new string('i', 33)));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void BuildYoung()
    {
        for (int i = 0; i < 200; i++) { Program.Keep.Add(new Pair<int, string> { A = i, B = "young " + i }); if (i % 2 == 0) _ = new Record(i, "garbage " + i); }
        GC.KeepAlive(holder); GC.KeepAlive(frozenText);
    }
}
