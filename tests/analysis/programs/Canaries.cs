// Unique marks of sixteen bytes in every place a program keeps values in, each in twelve encodings. A mark is made from the names of
// its place and its encoding, so that whoever knows the rule can look for it and nobody needs a list.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.ComponentModel;
using System.IO;
using System.IO.MemoryMappedFiles;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Unusual;

/// <summary>A mark in one encoding: its first sixteen bytes, as bytes, as characters and as two numbers.</summary>
public readonly struct Mark
{
    public readonly byte[] Bytes;
    public readonly long First, Second;

    public Mark(string place, int encoding)
    {
        byte[] digest = SHA256.HashData(Encoding.UTF8.GetBytes($"{place}/{encoding}"));
        string text = Convert.ToHexString(digest, 0, 8).ToLowerInvariant();
        byte[] plain = Encoding.UTF8.GetBytes(text);
        byte[] whole = encoding switch
        {
            0 => plain,
            1 => Encoding.Unicode.GetBytes(text),
            2 => Encoding.BigEndianUnicode.GetBytes(text),
            3 => Encoding.UTF32.GetBytes(text),
            4 => new UTF32Encoding(true, false).GetBytes(text),
            5 => Encoding.UTF8.GetBytes(Convert.ToHexString(plain)),
            6 => Encoding.Unicode.GetBytes(Convert.ToHexString(plain)),
            7 => Encoding.UTF8.GetBytes(Convert.ToBase64String(plain)),
            8 => Encoding.Unicode.GetBytes(Convert.ToBase64String(plain)),
            9 => Encoding.UTF8.GetBytes(string.Concat(plain.Select(b => $"%{b:X2}"))),
            10 => plain.Reverse().ToArray(),
            _ => digest[8..24],
        };
        Bytes = whole[..16];
        First = BitConverter.ToInt64(Bytes, 0);
        Second = BitConverter.ToInt64(Bytes, 8);
    }

    public string Text => new(MemoryMarshal.Cast<byte, char>(Bytes));
    public Guid Guid => new(Bytes);
}

public static class Canaries
{
    public const int Encodings = 12;
    // Marks that only a compiler can put where they are: the test knows them by heart.
    private const long InCode = 0x3f5a91c7d20e8b64, AlsoInCode = 0x5b17e3a8f4920d6c;
    private static readonly List<object> Held = new();

    [Description("7c1ee52fa8904b3d")]
    private sealed class Described { public const string Constant = "9d40b7c2e6153fa8"; }

    private sealed class TwoNumbers { public long First, Second; }
    private sealed class Bytes16 { public byte B0; public Guid Unaligned; public nint Native; public UInt128 Large; public unsafe long* Pointer; }
    private sealed class Loud(byte[] trace) : Exception { private readonly byte[] _stackTrace = trace; public object Trace => _stackTrace; }
    private struct Pair { public long First, Second; public object? Link; }
    private sealed class HasStruct { public int Before; public Pair Inside; public DateTime When; }
    private static class Statics<T> { public static long First, Second; [ThreadStatic] public static long OfThread, OfThreadToo; public static Guid Boxed; }
    private struct E0 { } private struct E1 { } private struct E2 { } private struct E3 { } private struct E4 { } private struct E5 { }
    private struct E6 { } private struct E7 { } private struct E8 { } private struct E9 { } private struct E10 { } private struct E11 { }

    private static readonly Dictionary<string, Action<Mark>> Places = new()
    {
        ["string"] = m => Held.Add(m.Text),
        ["interned"] = m => Held.Add(string.Intern(m.Text)),
        ["characters"] = m => Held.Add(m.Text.ToCharArray()),
        ["bytes"] = m => Held.Add(m.Bytes.ToArray()),
        ["odd bytes"] = m => Held.Add(new byte[] { 1 }.Concat(m.Bytes).ToArray()),
        ["numbers"] = m => Held.Add(new[] { m.First, m.Second }),
        ["doubles"] = m => Held.Add(new[] { BitConverter.Int64BitsToDouble(m.First), BitConverter.Int64BitsToDouble(m.Second) }),
        ["addresses"] = m => Held.Add(new[] { (nint)m.First, (nint)m.Second }),
        ["table"] = m => Held.Add(new[,] { { m.First, m.Second }, { 0, 0 } }),
        ["structs"] = m => Held.Add(new[] { new Pair { First = m.First, Second = m.Second, Link = Held } }),
        ["fields"] = m => Held.Add(new TwoNumbers { First = m.First, Second = m.Second }),
        ["struct in object"] = m => Held.Add(new HasStruct { Inside = new Pair { First = m.First, Second = m.Second } }),
        ["id in object"] = m => Held.Add(new Bytes16 { Unaligned = m.Guid }),
        ["large number"] = m => Held.Add(new Bytes16 { Large = new UInt128((ulong)m.Second, (ulong)m.First) }),
        ["boxed id"] = m => Held.Add(m.Guid),
        ["boxed tuple"] = m => Held.Add((m.First, m.Second)),
        ["decimal"] = m => Held.Add(Unsafe.BitCast<Guid, Int128>(m.Guid)),
        ["pinned heap"] = m => { var a = GC.AllocateArray<byte>(64, pinned: true); m.Bytes.CopyTo(a, 8); Held.Add(a); },
        ["pinned by handle"] = m => { var a = m.Bytes.ToArray(); Held.Add(GCHandle.Alloc(a, GCHandleType.Pinned)); },
        ["large heap"] = m => { var a = new byte[100_000]; m.Bytes.CopyTo(a, 70_001); Held.Add(a); },
        ["list"] = m => Held.Add(new List<long> { m.First, m.Second }),
        ["key"] = m => Held.Add(new Dictionary<Guid, int> { [m.Guid] = 1 }),
        ["hash set"] = m => Held.Add(new HashSet<Guid> { m.Guid }),
        ["concurrent key"] = m => Held.Add(new ConcurrentDictionary<Guid, string> { [m.Guid] = "" }),
        ["queue"] = m => { var q = new Queue<Guid>(); q.Enqueue(m.Guid); Held.Add(q); },
        ["removed from queue"] = m => { var q = new ConcurrentQueue<Guid>(); q.Enqueue(m.Guid); q.TryDequeue(out _); Held.Add(q); },
        ["builder"] = m => Held.Add(new StringBuilder().Append(m.Text)),
        ["stream"] = m => { var s = new MemoryStream(); s.Write(m.Bytes); Held.Add(s); },
        ["exception"] = m => Held.Add(new InvalidOperationException(m.Text)),
        ["thrown"] = m => { try { throw new ArgumentException(m.Text); } catch (ArgumentException e) { Held.Add(e); } },
        ["own trace of exception"] = m => Held.Add(new Loud(m.Bytes.ToArray())),
        ["result of task"] = m => Held.Add(Task.FromResult(m.Guid)),
        ["captured"] = m => { long a = m.First, b = m.Second; Held.Add((Func<long>)(() => a + b)); },
        ["awaiting"] = m => Held.Add(Await(m.First, m.Second)),
        ["state of timer"] = m => Held.Add(new Timer(_ => { }, m.Guid, int.MaxValue, int.MaxValue)),
        ["weak"] = m => { var a = m.Bytes.ToArray(); Held.Add(a); Held.Add(new WeakReference(a)); },
        ["native"] = m => { unsafe { m.Bytes.CopyTo(new Span<byte>(NativeMemory.Alloc(64), 64)); } },
        ["native and odd"] = m => { unsafe { m.Bytes.CopyTo(new Span<byte>((byte*)NativeMemory.AllocZeroed(64) + 3, 61)); } },
        ["native and large"] = m => { unsafe { m.Bytes.CopyTo(new Span<byte>((byte*)NativeMemory.AllocZeroed(1 << 20) + 5000, 64)); } },
        ["mapped"] = m => { var f = MemoryMappedFile.CreateNew(null, 8192); var v = f.CreateViewAccessor(); v.WriteArray(4000, m.Bytes, 0, 16); Held.Add(v); Held.Add(f); },
        ["freed before threads start"] = FillAndFree,
        ["name of thread"] = m => Parked(m.Text, () => { }),
        ["stack"] = m => Parked(null, () => OnStack(m)),
    };

    private static readonly Dictionary<string, Action<Mark>> Generic = new()
    {
        ["static"] = _ => { }, ["thread static"] = _ => { }, ["boxed static"] = _ => { },
    };

    public static void Build()
    {
        foreach (string place in Places.Keys)
            for (int encoding = 0; encoding < Encodings; encoding++)
                Places[place](new Mark(place, encoding));
        InStatics<E0>(0); InStatics<E1>(1); InStatics<E2>(2); InStatics<E3>(3); InStatics<E4>(4); InStatics<E5>(5);
        InStatics<E6>(6); InStatics<E7>(7); InStatics<E8>(8); InStatics<E9>(9); InStatics<E10>(10); InStatics<E11>(11);
        Held.Add(typeof(Described).GetCustomAttributes(false));
        Held.Add("e81f60d3b95c27a4" + Environment.ProcessId);
        Held.Add("5a0cf7e2b1934d68"u8.ToArray());
        for (int i = 0; i < 3; i++) Held.Add(Constants(i));
        Program.Truth["places"] = Places.Keys.Concat(Generic.Keys).Append("dead").ToArray();
        Program.Truth["encodings"] = Encodings;
    }

    /// <summary>Behind the last collection: objects that nothing refers to.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void BuildDead()
    {
        for (int encoding = 0; encoding < Encodings; encoding++)
            GC.KeepAlive(new Mark("dead", encoding).Bytes.ToArray());
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static object Constants(int i) => new[] { i ^ InCode, i ^ AlsoInCode };

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void InStatics<T>(int encoding)
    {
        Mark mark = new("static", encoding);
        (Statics<T>.First, Statics<T>.Second) = (mark.First, mark.Second);
        Mark ofThread = new("thread static", encoding);
        (Statics<T>.OfThread, Statics<T>.OfThreadToo) = (ofThread.First, ofThread.Second);
        Statics<T>.Boxed = new Mark("boxed static", encoding).Guid;
    }

    private static async Task<long> Await(long first, long second)
    {
        await new TaskCompletionSource().Task;
        return first + second;
    }

    /// <summary>Native blocks of all sizes, every second one freed: the runtime's own objects come to lie in them.</summary>
    private static unsafe void FillAndFree(Mark mark)
    {
        List<nint> blocks = new();
        for (int size = 32; size <= 9000; size += 32)
        {
            var block = new Span<byte>(NativeMemory.Alloc((nuint)size), size);
            for (int at = 0; at + 16 <= size; at += 16) mark.Bytes.CopyTo(block[at..]);
            blocks.Add((nint)Unsafe.AsPointer(ref block[0]));
        }
        for (int i = 0; i < blocks.Count; i += 2) NativeMemory.Free((void*)blocks[i]);
    }

    private static void Parked(string? name, Action before)
    {
        using var started = new ManualResetEventSlim();
        var thread = new Thread(() => { before(); started.Set(); Thread.Sleep(Timeout.Infinite); }, 256 * 1024) { Name = name, IsBackground = true };
        // What is on the stack must stay there: the mark is written by a thread that never leaves the method it is in.
        if (name is null) thread = new Thread(() => { Wait(before, started); }, 256 * 1024) { IsBackground = true };
        thread.Start();
        started.Wait();
    }

    private static ManualResetEventSlim? _started;

    private static void Wait(Action before, ManualResetEventSlim started) { _started = started; before(); }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void OnStack(Mark mark)
    {
        Span<byte> room = stackalloc byte[256];
        mark.Bytes.CopyTo(room[100..]);
        _started!.Set();
        Thread.Sleep(Timeout.Infinite);
        GC.KeepAlive(room[100]);
    }
}
