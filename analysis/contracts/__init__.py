"""What the runtime says about its own layout: where its structures lie and how wide they are."""
