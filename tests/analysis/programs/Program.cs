// A program that fills its heap with unusual types, writes down what it holds, prints READY and waits to be dumped.
// Arguments: what to do (shapes, hoards, list, types, threads, waits, convoy, crowd, canaries), a file for what it knows, a scale.
using System;
using System.Collections.Generic;
using System.IO;
using System.Text.Json;
using System.Threading;

namespace Unusual;

public static class Program
{
    public static readonly Dictionary<string, object> Truth = new();
    public static readonly List<object> Keep = new();

    public static int Main(string[] arguments)
    {
        string scenario = arguments[0];
        int scale = int.Parse(arguments[2]);
        switch (scenario)
        {
            case "shapes": Shapes.Build(); Emitted.Build(scale); Contexts.Build(); Values.Build(); Collections.Build(); break;
            case "hoards": Hoards.Build(scale); break;
            case "list": Large.List(scale); break;
            case "types": Large.Types(scale); break;
            case "canaries": Canaries.Build(); break;
            case "threads": case "waits": case "convoy": case "crowd": break;
            default: Console.Error.WriteLine($"unknown scenario {scenario}"); return 2;
        }
        GC.Collect();
        GC.WaitForPendingFinalizers();
        // What comes behind the last collection stays young, and allocation contexts stay open.
        switch (scenario)
        {
            case "threads": Threads.Build(scale); break;
            case "waits": Waits.Build(scale); break;
            case "crowd": Waits.Crowd(scale); Thread.Sleep(3000); break;
            case "convoy": Waits.Convoy(scale); Thread.Sleep(1000); break;
            case "canaries": Canaries.BuildDead(); break;
            case "hoards": case "list": case "types": break;
            default: Shapes.BuildYoung(); break;
        }
        File.WriteAllText(arguments[1], JsonSerializer.Serialize(Truth));
        Console.WriteLine($"READY {Environment.ProcessId}");
        Console.Out.Flush();
        Thread.Sleep(Timeout.Infinite);
        GC.KeepAlive(Keep);
        return 0;
    }
}
