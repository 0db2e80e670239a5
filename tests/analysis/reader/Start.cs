// payload DUMP LIST OUT: see Payload.cs
using System;
using Microsoft.Diagnostics.Runtime;

using DataTarget target = DataTarget.LoadDump(args[1], new DataTargetOptions { FileLocator = new Files() });
using ClrRuntime runtime = target.ClrVersions[0].CreateRuntime(Environment.GetEnvironmentVariable("ORACLE_DAC")!, ignoreMismatch: true);
Payload.Write(runtime, args[2], args[3]);
