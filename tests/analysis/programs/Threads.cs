using System;
using System.Collections.Generic;
using System.Threading;

namespace Unusual;

/// Threads in every state: waiting, ended but held, never started, in the middle of allocating; with names of every kind.
public static class Threads
{
    public static void Build(int scale)
    {
        var names = new[] { "plain", "<b>bold</b>", "\u202eesrever\u202c", "name\0nul", "日本語 \U0001F600", new string('n', 100_000), "", "\ud800 alone" };
        var known = new Dictionary<int, string>();
        int waiting = 100 * scale;
        using var started = new CountdownEvent(waiting);
        for (int i = 0; i < waiting; i++)
        {
            var thread = new Thread(() => { started.Signal(); Thread.Sleep(Timeout.Infinite); }, 256 * 1024) { IsBackground = i % 2 == 0, Name = names[i % names.Length] + (i < names.Length ? "" : i) };
            known[thread.ManagedThreadId] = thread.Name;
            thread.Start();
            Program.Keep.Add(thread);
        }
        started.Wait();
        for (int i = 0; i < 50; i++) { var thread = new Thread(() => { }) { Name = "dead " + i }; thread.Start(); thread.Join(); Program.Keep.Add(thread); }
        for (int i = 0; i < 50; i++) Program.Keep.Add(new Thread(() => { }) { Name = "unstarted " + i });
        using var allocated = new CountdownEvent(6);
        for (int i = 0; i < 6; i++) new Thread(seed => { var kept = Allocate((int)seed!); allocated.Signal(); Thread.Sleep(Timeout.Infinite); GC.KeepAlive(kept); }) { IsBackground = true, Name = "allocating" }.Start(i);
        allocated.Wait();
        Program.Truth["thread_names"] = known;
    }

    /// Leaves the thread with an allocation context that is partly used.
    static object[] Allocate(int seed)
    {
        var random = new Random(seed);
        var ring = new object[500];
        for (int i = 0; i < 3_000; i++) ring[random.Next(ring.Length)] = random.Next(20) == 0 ? new byte[random.Next(2_000)] : random.Next(2) == 0 ? new string('x', random.Next(50)) : new List<int>(random.Next(9));
        return ring;
    }
}
