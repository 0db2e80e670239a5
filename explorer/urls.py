"""All addresses: each file of views brings its own."""

from explorer.views import analyses, archive, dumps, gc, heap, modules, team, threads, uploads

urlpatterns = [
    *archive.urlpatterns,
    *dumps.urlpatterns,
    *heap.urlpatterns,
    *gc.urlpatterns,
    *modules.urlpatterns,
    *threads.urlpatterns,
    *team.urlpatterns,
    *uploads.urlpatterns,
    *analyses.urlpatterns,
]
