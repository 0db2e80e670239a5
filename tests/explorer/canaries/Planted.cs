// Plants a thousand values that stand nowhere else, in everything that can hold a value, writes down which, prints READY and waits.
// Arguments: a value for the command line, the file for what was planted, a scale that is not used. PLANTED_n of the environment
// are values too: the one who starts the program made them up.
using System;
using System.Collections.Generic;
using System.IO;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;

namespace Planted;

public sealed class Customer { public string Name = ""; public long Account; public Guid Id; public char[] Pin = Array.Empty<char>(); public DateTime Since; public KeyValuePair<string, long> Pair; }

public static class Statics { public static string? Password, Token; public static long Number; public static Guid Key; public static string[] Texts = Array.Empty<string>(); [ThreadStatic] public static string? OfThread; }

public static class Program
{
    static readonly List<Dictionary<string, string>> Known = new();
    static readonly List<object> Keep = new();

    static string Text(string carrier)
    {
        const string letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
        string made = RandomNumberGenerator.GetString(letters, 20);
        Known.Add(new() { ["carrier"] = carrier, ["text"] = made });
        return made;
    }

    static byte[] Bytes(string carrier, int count)
    {
        byte[] made = RandomNumberGenerator.GetBytes(count);
        Known.Add(new() { ["carrier"] = carrier, ["bytes"] = Convert.ToHexString(made) });
        return made;
    }

    static long Number(string carrier) => BitConverter.ToInt64(Bytes(carrier, 8));

    public static int Main(string[] arguments)
    {
        Known.Add(new() { ["carrier"] = "command line", ["text"] = arguments[0] });
        for (int i = 0; Environment.GetEnvironmentVariable($"PLANTED_{i}") is { } value; i++) Known.Add(new() { ["carrier"] = "environment", ["text"] = value });
        for (int i = 0; i < 200; i++) Keep.Add(Text("string"));
        for (int i = 0; i < 60; i++) Keep.Add(Text("char[]").ToCharArray());
        for (int i = 0; i < 60; i++) Keep.Add(Encoding.UTF8.GetBytes(Text("text in byte[]")));
        for (int i = 0; i < 100; i++) Keep.Add(Bytes("byte[]", 16));
        for (int i = 0; i < 100; i++) Keep.Add(Number("boxed long"));
        for (int i = 0; i < 80; i++) Keep.Add(new Guid(Bytes("boxed Guid", 16)));
        for (int i = 0; i < 20; i++) Keep.Add(new StringBuilder(Text("StringBuilder")).Append('x'));
        for (int i = 0; i < 20; i++) Keep.Add(Task.FromResult(Text("result of a task")));
        var numbers = new List<long>(); for (int i = 0; i < 60; i++) numbers.Add(Number("List<long>"));
        var map = new Dictionary<string, string>(); for (int i = 0; i < 40; i++) map[Text("key")] = Text("value");
        var ids = new Dictionary<Guid, long>(); for (int i = 0; i < 20; i++) ids[new Guid(Bytes("Guid key", 16))] = Number("long value");
        var customers = new Customer[25];
        for (int i = 0; i < customers.Length; i++) customers[i] = new Customer { Name = Text("field"), Account = Number("field"), Id = new Guid(Bytes("field", 16)), Pin = Text("field").ToCharArray(), Pair = new(Text("struct"), Number("struct")) };
        Keep.AddRange(new object[] { numbers, map, ids, customers, new Lazy<string>(Text("field")), new WeakReference(Text("weak")), Tuple.Create(Text("tuple"), Number("tuple")) });
        Statics.Password = Text("static"); Statics.Token = Text("static"); Statics.Number = Number("static"); Statics.Key = new Guid(Bytes("static", 16));
        Statics.Texts = new string[12]; for (int i = 0; i < 12; i++) Statics.Texts[i] = Text("static");
        for (int i = 0; i < 10; i++) Keep.Add(Thrown(i));
        using var ready = new CountdownEvent(12);
        for (int i = 0; i < 12; i++) Start(Text("local"), Number("local"), Text("thread static"), Text("thread name"), Text("message"), ready);
        ready.Wait();
        File.WriteAllText(arguments[1], JsonSerializer.Serialize(Known));
        Console.WriteLine($"READY {Environment.ProcessId}");
        Console.Out.Flush();
        Thread.Sleep(Timeout.Infinite);
        GC.KeepAlive(Keep);
        return 0;
    }

    static Exception Thrown(int number)
    {
        try { throw new InvalidOperationException(Text("message"), new ArgumentException(Text("message"))) { Data = { ["order"] = Text("value") } }; }
        catch (Exception thrown) { return thrown; }
    }

    /// The thread's values are on its stack and in its registers; every other one waits inside a catch.
    static void Start(string text, long number, string ofThread, string name, string message, CountdownEvent ready)
    {
        var thread = new Thread(() => { Statics.OfThread = ofThread; try { Work(text, number, message, ready); } catch (Exception thrown) { Wait(thrown.Message, number, ready); } }) { Name = name, IsBackground = true };
        thread.Start();
    }

    static void Work(string text, long number, string message, CountdownEvent ready)
    {
        if (number % 2 == 0) throw new InvalidOperationException(message);
        Wait(text, number, ready);
    }

    static void Wait(string text, long number, CountdownEvent ready)
    {
        Span<long> onStack = stackalloc long[4]; onStack[1] = number;
        string copy = text; object boxed = number;
        ready.Signal();
        Thread.Sleep(Timeout.Infinite);
        GC.KeepAlive(copy); GC.KeepAlive(boxed); onStack.Clear();
    }
}
