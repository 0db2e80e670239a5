// Where the reference reader sees values in a dump: pairs of address and length, as 64-bit numbers, of every string, number and dead
// object. Fields named in a list (declaring type, tab, field; * for any type) are structure and left out.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using Microsoft.Diagnostics.Runtime;

public static class Payload
{
    private static readonly HashSet<string> Structural = new();
    private static readonly HashSet<ulong> StructuralArrays = new();
    private static BinaryWriter Out = null!;

    public static void Write(ClrRuntime runtime, string list, string path)
    {
        foreach (string line in File.ReadLines(list)) Structural.Add(line);
        foreach (ClrObject one in runtime.Heap.EnumerateObjects()) NoteArrays(one);
        using (Out = new BinaryWriter(File.Create(path)))
            foreach (ClrObject one in runtime.Heap.EnumerateObjects()) Object(one);
    }

    private static void NoteArrays(ClrObject one)
    {
        foreach (string name in new[] { "_stackTrace", "_countPerLock" })
        {
            if (one.IsFree || one.Type!.GetFieldByName(name) is not { IsObjectReference: true } field) continue;
            ClrObject array = field.ReadObject(one.Address, interior: false);
            if (array.IsValid) { StructuralArrays.Add(array.Address); foreach (ulong inner in array.EnumerateReferenceAddresses()) StructuralArrays.Add(inner); }
        }
    }

    private static void Object(ClrObject one)
    {
        ClrType type = one.Type!;
        if (one.IsFree) { if (one.Size > 24) Range(one.Address + 16, (long)one.Size - 24); return; }
        if (type.IsString) { Range(one.Address + 12, 2L * one.ReadField<int>("_stringLength")); return; }
        if (!type.IsArray) { Fields(type, one.Address + 8, 0); return; }
        if (StructuralArrays.Contains(one.Address) || type.ComponentType is not { } element) return;
        ulong first = type.GetArrayElementAddress(one.Address, 0);
        int count = one.AsArray().Length;
        if (element.IsPrimitive) { Range(first, (long)count * type.ComponentSize); return; }
        if (element.IsValueType) for (int i = 0; i < count; i++) Fields(element, first + (ulong)(i * type.ComponentSize), 0);
    }

    private static void Fields(ClrType type, ulong at, int depth)
    {
        foreach (ClrInstanceField field in type.Fields)
        {
            string name = field.Name ?? "";
            if (Structural.Contains("*\t" + name) || Structural.Contains(Plain(field.ContainingType.Name ?? "") + "\t" + name)) continue;
            ulong place = at + (ulong)field.Offset;
            if (field.IsPrimitive || field.ElementType is ClrElementType.NativeInt or ClrElementType.NativeUInt or ClrElementType.Pointer or ClrElementType.FunctionPointer) Range(place, field.Size);
            else if (field.IsValueType && field.Type is { } inner && depth < 8) Fields(inner, place, depth + 1);
        }
    }

    // N.Dictionary+Entry of N.Dictionary<A, B>+Entry<A, B>; brackets that the compiler made up stay.
    private static string Plain(string name)
    {
        StringBuilder found = new();
        int depth = 0;
        for (int i = 0; i < name.Length; i++)
        {
            if (name[i] == '<' && (depth > 0 || (i > 0 && (char.IsLetterOrDigit(name[i - 1]) || name[i - 1] == '_')))) depth++;
            else if (name[i] == '>' && depth > 0) depth--;
            else if (depth == 0) found.Append(name[i]);
        }
        return found.ToString();
    }

    private static void Range(ulong address, long length) { if (length > 0) { Out.Write(address); Out.Write(length); } }
}
