using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace Unusual;

[System.Runtime.CompilerServices.InlineArray(3)] public struct ThreeLongs { long first; }

public class ValuesBase { public int Inherited = 11; private string secret = "base text"; public string Secret => secret; }

/// One object of every kind of field; what it holds is written down for the reader to find again.
public class KnownValues : ValuesBase
{
    public bool Yes = true, No; public char Letter = 'λ', Surrogate = '\ud83d'; public sbyte I8 = -8; public byte U8 = 200; public short I16 = -1600; public ushort U16 = 56000;
    public int I32 = -123456789; public uint U32 = 4000000000; public long I64 = long.MinValue; public ulong U64 = ulong.MaxValue; public float R4 = 3.25f; public double R8 = -2.5e300, NotANumber = double.NaN, Infinite = double.PositiveInfinity;
    public nint Native = -77; public nuint NativeUnsigned = 77; public OfByte SmallEnum = OfByte.A; public OfInt64 LargeEnum = OfInt64.A; public string Text = "text \0 with \ud83d\ude00"; public object? Nothing; public int[] Numbers = { 1, 2, 3 };
    public DateTime When = new(2024, 2, 29, 12, 34, 56, DateTimeKind.Utc); public Guid Id = new("00112233-4455-6677-8899-aabbccddeeff"); public int? Some = 42; public int? None; public Pair<byte, long> Pair = new() { A = 5, B = -6 };
    public ThreeLongs Inline; public FixedBuffer Buffer = new() { After = -2 }; public Padded Padded = new() { Only = 3 }; public TripleHolder<int>? Empty;
    public static int Shared = 31337;
}

public static class Values
{
    public static void Build()
    {
        var known = new KnownValues();
        for (int i = 0; i < 3; i++) known.Inline[i] = i + 1;
        unsafe { fixed (byte* bytes = known.Buffer.Bytes) for (int i = 0; i < 37; i++) bytes[i] = (byte)i; }
        Program.Keep.Add(known);
        Program.Truth["known_values"] = new Dictionary<string, object?>
        {
            ["Inherited"] = 11, ["Yes"] = true, ["No"] = false, ["Letter"] = "λ", ["I8"] = known.I8, ["U8"] = known.U8, ["I16"] = known.I16, ["U16"] = known.U16, ["I32"] = known.I32, ["U32"] = known.U32,
            ["I64"] = known.I64, ["U64"] = known.U64, ["R4"] = known.R4, ["R8"] = known.R8, ["Native"] = (long)known.Native, ["NativeUnsigned"] = (ulong)known.NativeUnsigned, ["SmallEnum"] = (byte)known.SmallEnum, ["LargeEnum"] = (long)known.LargeEnum,
            ["Nothing"] = 0,
        };
        Program.Truth["known_texts"] = new Dictionary<string, string> { ["Text"] = known.Text, ["secret"] = known.Secret };
        Program.Truth["known_bytes"] = new Dictionary<string, string>
        {
            ["When"] = Hex(BitConverter.GetBytes(System.Runtime.CompilerServices.Unsafe.As<DateTime, ulong>(ref known.When))), ["Id"] = Hex(known.Id.ToByteArray()), ["Some"] = "010000002a000000", ["None"] = "0000000000000000", ["Pair"] = "0500000000000000" + Hex(BitConverter.GetBytes(-6L)),
            ["Inline"] = "010000000000000002000000000000000300000000000000", ["Buffer"] = Hex(Enumerable.Range(0, 37).Select(i => (byte)i).ToArray()) + "000000feffffff", ["Padded"] = "03000000" + new string('0', 192),
        };
    }

    static string Hex(byte[] bytes) => Convert.ToHexString(bytes).ToLower(CultureInfo.InvariantCulture);
}
