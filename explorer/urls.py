"""All addresses: each file of views brings its own."""

from explorer.views import (
    analyses,
    archive,
    compare,
    crash,
    dumps,
    findings,
    gc,
    heap,
    locks,
    modules,
    retention,
    stacks,
    symbols,
    team,
    threads,
    uploads,
)

urlpatterns = [
    *archive.urlpatterns,
    *dumps.urlpatterns,
    *heap.urlpatterns,
    *retention.urlpatterns,
    *gc.urlpatterns,
    *compare.urlpatterns,
    *modules.urlpatterns,
    *threads.urlpatterns,
    *stacks.urlpatterns,
    *locks.urlpatterns,
    *findings.urlpatterns,
    *crash.urlpatterns,
    *team.urlpatterns,
    *symbols.urlpatterns,
    *uploads.urlpatterns,
    *analyses.urlpatterns,
]
