// Runs the pages' script without a browser: what it does with forms that are sent twice.

import { strictEqual } from "node:assert";
import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";

let now = 1_000_000;
const heard = {};
runInNewContext(readFileSync(new URL("../../src/web/pages/script.js", import.meta.url), "utf8"), {
  document: { querySelectorAll: () => [], getElementById: () => null },
  addEventListener: (name, act) => (heard[name] = act),
  Date: { now: () => now },
});

/** Presses a button; `asked` says whether a question comes first. Gives whether the form goes out. */
function press(asked = false) {
  const event = { defaultPrevented: asked, preventDefault: () => (event.defaultPrevented = true) };
  heard.submit(event);
  return !event.defaultPrevented;
}

strictEqual(press(), true, "the first press sends");
strictEqual(press(), false, "the second one does not");
now += 8_999;
strictEqual(press(), false, "nor does one that is late");
now += 1;
strictEqual(press(), true, "after a while there may be no answer any more");
heard.pageshow();
strictEqual(press(true), false, "a question is not a press");
strictEqual(press(), true, "the page that is there again sends");
strictEqual(press(), false, "and once only");
