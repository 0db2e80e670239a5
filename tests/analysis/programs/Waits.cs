using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

namespace Unusual;

/// Threads that wait for each other through every primitive: cycles, convoys, owners that are gone. Truth names the threads.
public static class Waits
{
    static readonly ReaderWriterLockSlim books = new();
    static readonly SemaphoreSlim turn = new(1, 1), twice = new(1, 1), limited = new(0, 4);
    static readonly Lock modern = new(), abandonedModern = new();
    static readonly object plain = new(), queue = new List<int>(), abandoned = new(), handed = new(), forConstructor = new(), forFinalizer = new();
    static readonly TaskCompletionSource<int> promise = new();
    static readonly ManualResetEvent never = new(false), neverEither = new(false);
    static readonly CountdownEvent three = new(3);
    static readonly Barrier meeting = new(3);
    static readonly Mutex mutex = new();

    /// Every kind at once.
    public static void Build(int scale)
    {
        MixedCycle();
        LockAndMonitor();
        ConstructorCycle();
        FinalizerCycle();
        Orphans();
        Tasks();
        Others();
        Convoy(scale * 20);
        Thread.Sleep(1500);
        Program.Truth["cycles"] = new[]
        {
            new[] { "writer", "semaphore", "task", "joined" }, new[] { "lock-then-monitor", "monitor-then-lock" },
            new[] { "in-constructor", "wants-constructor" }, new[] { "", "waits-for-finalizers" }, new[] { ".NET TP Worker", "async-holder" },
            new[] { "upgrades", "reads-on" },
        };
        Program.Truth["convoy"] = scale * 20;
        Program.Truth["stuck_by_themselves"] = new[] { "wants-abandoned", "wants-abandoned-lock" };
    }

    /// Nothing but threads before one lock; its owner sleeps.
    public static void Convoy(int waiting)
    {
        Start("convoy-owner", () => { lock (queue) Forever(); });
        Thread.Sleep(100);
        for (int i = 0; i < waiting; i++) Start("convoy", Queue);
    }

    /// Many threads before one lock of each kind.
    public static void Crowd(int waiting)
    {
        Start("crowd-owner", () => { modern.Enter(); books.EnterWriteLock(); turn.Wait(); var kept = mutex; kept.WaitOne(); Forever(); GC.KeepAlive(kept); });
        Thread.Sleep(200);
        var slim = new ManualResetEventSlim(false);
        var bodies = new ThreadStart[] { () => { lock (modern) { } }, () => books.EnterReadLock(), () => turn.Wait(), () => mutex.WaitOne(), () => promise.Task.Wait(), () => slim.Wait(), () => Outer().Wait() };
        for (int i = 0; i < waiting; i++) Start("crowd-" + i % bodies.Length, bodies[i % bodies.Length]);
    }

    [MethodImpl(MethodImplOptions.NoInlining)] static void Queue() { lock (queue) GC.KeepAlive(queue); }

    /// writer holds books and wants its turn; semaphore has the turn and waits for a task; the task joins a thread that reads books.
    static void MixedCycle()
    {
        var joined = new Thread(() => { Thread.Sleep(600); books.EnterReadLock(); }) { Name = "joined", IsBackground = true };
        Start("writer", () => { books.EnterWriteLock(); Thread.Sleep(500); turn.Wait(); });
        Start("semaphore", () =>
        {
            var mine = turn;
            mine.Wait();
            try { Task.Factory.StartNew(() => { Thread.CurrentThread.Name = "task"; joined.Start(); joined.Join(); }, TaskCreationOptions.LongRunning).Wait(); }
            finally { mine.Release(); }
        });
    }

    static void LockAndMonitor()
    {
        var both = new Barrier(2);
        Start("lock-then-monitor", () => { lock (modern) { both.SignalAndWait(); lock (plain) { } } });
        Start("monitor-then-lock", () => { lock (plain) { both.SignalAndWait(); lock (modern) { } } });
        Thread.Sleep(300);
        Start("behind-the-cycle", () => { lock (plain) { } });
    }

    static class Slow
    {
        public static readonly int Value = Initialise();
        static int Initialise() { Thread.Sleep(300); lock (forConstructor) return 5; }
    }

    /// One runs a static constructor that needs a lock, its owner needs the class.
    static void ConstructorCycle()
    {
        Start("in-constructor", () => Program.Keep.Add(Slow.Value));
        Start("wants-constructor", () => { lock (forConstructor) { Thread.Sleep(150); Program.Keep.Add(Slow.Value); } });
    }

    sealed class Stubborn { ~Stubborn() { lock (forFinalizer) GC.KeepAlive(forFinalizer); } }
    [MethodImpl(MethodImplOptions.NoInlining)] static void Leave() => GC.KeepAlive(new Stubborn());

    static void FinalizerCycle()
    {
        Leave();
        Start("waits-for-finalizers", () => { lock (forFinalizer) { GC.Collect(); GC.WaitForPendingFinalizers(); } });
    }

    static void Orphans()
    {
        var first = new Thread(() => { Monitor.Enter(abandoned); abandonedModern.Enter(); Thread.Sleep(700); }) { Name = "leaves-without-exit" };
        first.Start();
        Program.Keep.Add(first);
        Thread.Sleep(100);
        Start("wants-abandoned", () => { lock (abandoned) { } });
        Start("wants-abandoned-lock", () => { lock (abandonedModern) { } });
    }

    static void Tasks()
    {
        Start("waits-for-promise", () => promise.Task.Wait());
        Start("waits-for-async", () => Outer().GetAwaiter().GetResult());
        Start("waits-for-delay", () => Task.Delay(Timeout.Infinite).Wait());
        Start("waits-for-all", () => Task.WaitAll(promise.Task, Outer()));
        Start("waits-for-continuation", () => promise.Task.ContinueWith(t => t.Result + 1).Wait());
        Start("waits-for-never-started", () => new Task(() => { }).Wait());
        Start("waits-for-running", () => Task.Run(() => { Thread.Sleep(Timeout.Infinite); }).Wait());
        Start("takes-twice", () => { var mine = twice; mine.Wait(); try { mine.Wait(); } finally { mine.Release(); } });
        // An asynchronous method that holds a semaphore, needs the lock of the thread that waits for it.
        Start("async-holder", () => { var gate = new SemaphoreSlim(1, 1); lock (handed) { NeedsBoth(gate).Wait(); } });
        Start("waits-for-when-all", () => Task.WhenAll(promise.Task, Outer()).Wait());
        Start("waits-for-when-any", () => Task.WhenAny(promise.Task, Outer()).Wait());
        Start("waits-for-unwrapped", () => Task.Run(async () => { await promise.Task; }).Wait());
        Start("waits-for-turn", () => turn.WaitAsync().Wait());
        // Reads with the right to become the writer, which another reader that needs a lock of this thread prevents.
        var upgraded = new ReaderWriterLockSlim(); var held = new object(); var reading = new ManualResetEventSlim();
        Start("upgrades", () => { lock (held) { upgraded.EnterUpgradeableReadLock(); reading.Wait(); upgraded.EnterWriteLock(); } });
        Start("reads-on", () => { upgraded.EnterReadLock(); reading.Set(); lock (held) { } });
        var free = new ReaderWriterLockSlim(); var seen = new ManualResetEventSlim();
        Start("reads-for-ever", () => { free.EnterReadLock(); seen.Set(); Forever(); });
        Start("upgrades-in-time", () => { free.EnterUpgradeableReadLock(); seen.Wait(); free.EnterWriteLock(); });
        Start("waits-for-any", () => Task.WaitAny(promise.Task, Outer()));
    }

    static async Task NeedsBoth(SemaphoreSlim gate) { await gate.WaitAsync(); await Task.Run(() => { lock (handed) { } }); gate.Release(); }
    static async Task<int> Outer() { await Task.Yield(); return await Inner(); }
    static async Task<int> Inner() => await promise.Task;

    static void Others()
    {
        Start("waits-for-any-handle", () => WaitHandle.WaitAny(new WaitHandle[] { never, neverEither }));
        Start("waits-for-all-handles", () => WaitHandle.WaitAll(new WaitHandle[] { never, neverEither }));
        Start("counts-down", () => three.Wait());
        Start("meets-1", () => meeting.SignalAndWait());
        Start("meets-2", () => meeting.SignalAndWait());
        Start("owns-mutex", () => { mutex.WaitOne(); Forever(); });
        Thread.Sleep(100);
        Start("wants-mutex", () => mutex.WaitOne());
        Start("limited-1", () => limited.Wait());
        Start("limited-2", () => limited.Wait());
        Start("consumer", () => { foreach (var item in new System.Collections.Concurrent.BlockingCollection<string>().GetConsumingEnumerable()) GC.KeepAlive(item); });
    }

    static void Forever() => Thread.Sleep(Timeout.Infinite);

    static void Start(string name, ThreadStart body) => new Thread(body, 256 * 1024) { Name = name, IsBackground = true }.Start();
}
