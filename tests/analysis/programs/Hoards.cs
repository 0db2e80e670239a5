using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;

namespace Unusual;

public sealed class Visitor { public int Number; public void Heard() => Number++; }
public sealed class Reminder { public int Number; public void Fire(object? state) => Number++; }
public sealed class Errand { public int Number; public void Stopped() => Number++; }

public static class Bell
{
    public static event Action? Rung;
    public static int Subscribers => Rung?.GetInvocationList().Length ?? 0;
}

/// What leaks in small pieces: subscribers, timers, registrations, copies of texts, room in collections, pinned objects.
public static class Hoards
{
    const int many = 3_000, pinned = 300;
    static readonly CancellationTokenSource never = new();

    public static void Build(int scale)
    {
        for (int number = 0; number < many; number++)
        {
            Bell.Rung += new Visitor { Number = number }.Heard;
            Program.Keep.Add(new Timer(new Reminder { Number = number }.Fire, null, TimeSpan.FromHours(5), Timeout.InfiniteTimeSpan));
            never.Token.Register(new Errand { Number = number }.Stopped);
        }
        for (int part = 0; part < 40; part++)
        {
            var copies = new string[2_500];
            for (int number = 0; number < copies.Length; number++) copies[number] = new string($"a text that occurs again and again {number % 100}");
            Program.Keep.Add(copies);
        }
        for (int number = 0; number < 20; number++) Program.Keep.Add(new List<long>(100_000) { 1, 2, 3 });
        for (int number = 0; number < pinned; number++) GCHandle.Alloc(new byte[100], GCHandleType.Pinned);
        Program.Truth["subscribers"] = Bell.Subscribers;
        Program.Truth["timers"] = many;
        Program.Truth["registrations"] = many;
        Program.Truth["copies"] = 40 * 2_500 - 100;
        Program.Truth["pinned"] = pinned;
        Program.Truth["unused"] = 20L * (100_000 - 3) * sizeof(long);
    }
}
