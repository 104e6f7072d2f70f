// What scripts add to pages that work without them.
const each = (what, act) => document.querySelectorAll(what).forEach(act);
const make = (name, more) => Object.assign(document.createElement(name), more);
const hidden = (name, value) => make("input", { type: "hidden", name, value });
const ask = document.getElementById("ask");

// An eye in every password, not a link.
each("[data-plain]", (link) => (link.hidden = true));
each("[data-eye]", (input) => {
  const eye = make("button", { type: "button", className: "eye" });
  eye.innerHTML =
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M2 12q10-14 20 0-10 14-20 0z"/><circle cx="12" cy="12" r="3"/><path d="M4 4l16 16"/></svg>';
  const show = (shown) => {
    input.type = shown ? "text" : "password";
    eye.setAttribute("aria-pressed", shown);
  };
  eye.setAttribute("aria-label", input.dataset.eye);
  eye.onclick = () => show(input.type == "password");
  input.form.addEventListener("submit", () => show(false));
  show(input.type == "text");
  input.after(eye);
});

// A question, not a page of its own.
const sure = ({ confirm, yes }, act) => {
  const [text, button] = ask.querySelectorAll("p, button");
  text.textContent = confirm;
  button.textContent = yes;
  ask.returnValue = "";
  ask.onclose = () => ask.returnValue && act();
  ask.showModal();
};
each("form[data-confirm]", (form) => {
  const yes = hidden("confirmed", "yes");
  form.addEventListener("submit", (event) => {
    if (yes.isConnected) return;
    event.preventDefault();
    sure(form.dataset, () => {
      form.append(yes);
      form.requestSubmit(event.submitter);
      yes.remove();
    });
  });
});
each("a[data-confirm]", (link) => {
  link.onclick = () => {
    sure(link.dataset, () => {
      const form = make("form", { method: "post", action: link.href });
      form.append(hidden("form", ask.dataset.form));
      ask.after(form);
      form.submit();
    });
    return false;
  };
});

// What was sent is under way: a second tap sends nothing, until the page is there again or it takes too long.
let sent = 0;
addEventListener("submit", (event) => {
  if (event.defaultPrevented) return;
  if (Date.now() - sent < 9000) event.preventDefault();
  else sent = Date.now();
});
addEventListener("pageshow", () => (sent = 0));

// Look again.
each("[data-again]", () => setTimeout(() => location.reload(), 5000));

// The server's word on what was typed.
each("[data-ask]", (input) => {
  input.addEventListener("blur", async () => {
    const typed = input.value;
    const body = new URLSearchParams({ form: ask.dataset.form, [input.name]: typed });
    const sent = typed && fetch(input.dataset.ask, { method: "POST", body, redirect: "error" });
    const text = await Promise.resolve(sent).then((answer) => (answer.ok ? answer.text() : ""), () => "");
    if (input.value == typed) document.getElementById(input.dataset.answer).textContent = text;
  });
});

// A warning before the session ends.
const idle = document.getElementById("idle");
if (idle) {
  let since = Date.now();
  const look = () => (idle.hidden = Date.now() - since < idle.dataset.after * 1000);
  setInterval(look, 5000);
  idle.querySelector("a").onclick = ({ target }) => {
    const sent = fetch(target.href, { method: "HEAD", redirect: "error" });
    sent.then(() => look((since = Date.now())), () => (location = target.href));
    return false;
  };
}
