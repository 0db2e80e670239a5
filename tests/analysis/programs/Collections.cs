using System;
using System.Collections;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Text;
using System.Threading;
using System.Threading.Channels;

namespace Unusual;

public sealed class Filled { public string Name; public object Held; public Filled(string name, object held) { Name = name; Held = held; } }
public sealed class OwnList : List<long> { }
public sealed class OwnDictionary<T> : Dictionary<string, T> { }

/// Collections of every kind, each in an object that carries its name; what each holds is written down.
public static class Collections
{
    static readonly Dictionary<string, int[]> known = new();

    static void Add(string kind, object held, int count, int capacity = -1)
    {
        string name = $"{kind} {known.Count}";
        known[name] = new[] { count, capacity };
        Program.Keep.Add(new Filled(name, held));
    }

    public static void Build()
    {
        var numbers = Enumerable.Range(0, 100).ToArray();
        Add("List", new List<int>(64) { 1, 2, 3 }, 3, 64); Add("List", new List<string>(), 0, 0); Add("List", new OwnList { 1, 2 }, 2, 4);
        var dictionary = new OwnDictionary<Guid>(); for (int i = 0; i < 50; i++) dictionary["k" + i] = Guid.NewGuid(); for (int i = 0; i < 20; i++) dictionary.Remove("k" + i);
        Add("Dictionary", dictionary, 30, dictionary.EnsureCapacity(0)); Add("Dictionary", new Dictionary<int, (long, decimal)>(), 0, 0);
        var set = new HashSet<int>(numbers); set.Remove(5); Add("HashSet", set, 99, set.EnsureCapacity(0));
        var queue = new Queue<int>(numbers); for (int i = 0; i < 60; i++) queue.Dequeue(); Add("Queue", queue, 40, queue.EnsureCapacity(0));
        Add("Queue", new Queue(numbers), 100, 100); Add("Stack", new Stack<int>(numbers), 100, 100); Add("Stack", new Stack(7), 0, 10);
        Add("LinkedList", new LinkedList<int>(numbers), 100);
        Add("SortedDictionary", new SortedDictionary<int, int> { [1] = 1, [2] = 2 }, 2);
        Add("SortedList", new SortedList<int, string>(17) { [1] = "a" }, 1, 17); Add("SortedList", new SortedList(19) { [1] = "a", [2] = "b" }, 2, 19);
        Add("SortedSet", new SortedSet<int>(numbers), 100);
        var priorities = new PriorityQueue<string, int>(33); priorities.Enqueue("a", 1); Add("PriorityQueue", priorities, 1, 33);
        Add("ImmutableArray", ImmutableArray.Create(1, 2, 3), 3, 3); Add("ImmutableArray", default(ImmutableArray<string>), 0, 0);
        var builder = ImmutableArray.CreateBuilder<int>(9); builder.Add(1); Add("ImmutableArray", builder, 1, 9);
        Add("ArrayList", new ArrayList(11) { 1, 2 }, 2, 11);
        var table = new Hashtable(); foreach (int number in numbers) table[number] = number; table.Remove(3); Add("Hashtable", table, 99, 141);
        var text = new StringBuilder(); for (int i = 0; i < 5000; i++) text.Append("0123456789"); text.Remove(100, 50); Add("StringBuilder", text, 49950, text.Capacity);
        BuildConcurrent(numbers);
        BuildWeak();
        Program.Truth["known_collections"] = known;
    }

    static void BuildConcurrent(int[] numbers)
    {
        var dictionary = new ConcurrentDictionary<int, int>(); for (int i = 0; i < 5000; i++) dictionary[i] = i; for (int i = 0; i < 1000; i++) dictionary.TryRemove(i, out _);
        Add("ConcurrentDictionary", dictionary, 4000); Add("ConcurrentDictionary", new ConcurrentDictionary<string, string>(), 0);
        var queue = new ConcurrentQueue<int>(); for (int i = 0; i < 3000; i++) queue.Enqueue(i); for (int i = 0; i < 777; i++) queue.TryDequeue(out _);
        Add("ConcurrentQueue", queue, 2223);
        var circling = new ConcurrentQueue<string>(); for (int i = 0; i < 100; i++) { circling.Enqueue("a"); circling.Enqueue("b"); circling.TryDequeue(out _); if (i > 10) circling.TryDequeue(out _); }
        Add("ConcurrentQueue", circling, circling.Count); Add("ConcurrentQueue", new ConcurrentQueue<long>(), 0);
        Add("ConcurrentStack", new ConcurrentStack<int>(numbers), 100); Add("ConcurrentStack", new ConcurrentStack<string>(), 0);
        var bag = new ConcurrentBag<int>(numbers); bag.TryTake(out _);
        var other = new Thread(() => { for (int i = 0; i < 10; i++) bag.Add(i); }); other.Start(); other.Join();
        Add("ConcurrentBag", bag, 109); Add("ConcurrentBag", new ConcurrentBag<string>(), 0);
        var bounded = Channel.CreateBounded<int>(55); foreach (int number in numbers.Take(12)) bounded.Writer.TryWrite(number); Add("Channel", bounded, 12, 55);
        var open = Channel.CreateUnbounded<int>(); foreach (int number in numbers) open.Writer.TryWrite(number); open.Reader.TryRead(out _); Add("Channel", open, 99);
        var single = Channel.CreateUnbounded<int>(new UnboundedChannelOptions { SingleReader = true });
        for (int i = 0; i < 500; i++) single.Writer.TryWrite(i); for (int i = 0; i < 45; i++) single.Reader.TryRead(out _); Add("Channel", single, 455);
        var first = Channel.CreateUnboundedPrioritized<int>(); foreach (int number in numbers.Take(6)) first.Writer.TryWrite(number); Add("Channel", first, 6, 8);
    }

    static void BuildWeak()
    {
        var weak = new ConditionalWeakTable<object, string>();
        for (int i = 0; i < 9; i++) { var key = new object(); weak.Add(key, "weak"); Program.Keep.Add(key); }
        AddForgotten(weak);
        Add("ConditionalWeakTable", weak, 9, 16);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static void AddForgotten(ConditionalWeakTable<object, string> weak) { for (int i = 0; i < 4; i++) weak.Add(new object(), "forgotten"); }
}
