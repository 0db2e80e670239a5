// Trusted Types: text never becomes a script or the address of one here. HTML in a string passes: htmx and
// the tree make elements from it, and the content security policy runs nothing that it holds.
if (window.trustedTypes) window.trustedTypes.createPolicy("default", { createHTML: (text) => text });
