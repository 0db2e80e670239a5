// Security keys (WebAuthn): the server's challenge goes to the key, its answer into the form.
(function () {
  "use strict";

  const form = document.querySelector("form[data-security-key]");
  const options = document.getElementById("security-key-options");
  if (!form || !options || !window.PublicKeyCredential || !PublicKeyCredential.parseRequestOptionsFromJSON) return;
  form.hidden = false;

  async function ask(asked) {
    if (form.dataset.securityKey === "get") {
      return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(asked.request_options.publicKey) });
    }
    const wanted = asked.creation_options.publicKey;
    wanted.authenticatorSelection = { ...wanted.authenticatorSelection, residentKey: "discouraged", requireResidentKey: false };
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(wanted) });
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const told = form.querySelector("[role=alert]");
    told.hidden = true;
    try {
      const credential = await ask(JSON.parse(options.textContent));
      form.elements.credential.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch {
      told.hidden = false;
    }
  });
})();
