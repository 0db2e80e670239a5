// Finds the framework's files by name in the folders that READER_FILES names, as a symbol server would by their ids.
using System;
using System.Collections.Immutable;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using Microsoft.Diagnostics.Runtime;

public sealed class Files : IFileLocator
{
    private static readonly string[] Folders = (Environment.GetEnvironmentVariable("READER_FILES") ?? "").Split(':');

    public string? FindPEImage(string fileName, int buildTimeStamp, int imageSize, bool checkProperties) => Find(fileName);

    public string? FindPEImage(string fileName, SymbolProperties archivedUnder, ImmutableArray<byte> buildIdOrUuid, OSPlatform originalPlatform, bool checkProperties) => Find(fileName);

    private static string? Find(string name) => Folders.Select(folder => Path.Combine(folder, Path.GetFileName(name))).FirstOrDefault(File.Exists);
}
