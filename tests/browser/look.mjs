// What the walks share: the plan, a browser, the keyboard, and a look at a page.
//
// The plan is one JSON object on a line of standard input (see tests/it/browser.rs). What was seen goes to standard output,
// with a list of everything that was wrong. Loads nothing but the pages it is given.

import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { HtmlValidate } from "html-validate";
import { chromium } from "playwright-core";

const told = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
export const plan = JSON.parse((await told.next()).value);
export const wrong = [];
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let looks = 0;

/** Turns the clock of the pages on, and gives their time in seconds. */
export async function turn(seconds) {
  console.log(`TURN ${seconds}`);
  return Number((await told.next()).value);
}

/** Closes the store behind the pages. */
export async function close() {
  console.log("CLOSE");
  await told.next();
}

/** What each field says it is for (WCAG 1.3.5). */
const tokens = {
  org: "organization", id: "username", family: "off", password: "current-password", new: "new-password", again: "new-password",
  otp: "one-time-code", code: "off", email: "email", mail1: "email", mail2: "email", mail3: "email",
};

/** Runs inside the page: what no library looks for. */
function measure({ width, tokens }) {
  const found = [];
  const root = document.documentElement;
  const seen = (element) => element.checkVisibility({ visibilityProperty: true }) && element.type !== "hidden";
  const short = (element) => element.outerHTML.slice(0, 80);
  const text = (element) => element.textContent.replace(/\s+/g, " ").trim();
  // Where the text of a page stands, line by line; two texts are nowhere in each other's way.
  const lines = () => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    const found = [];
    for (let node = texts.nextNode(); node; node = texts.nextNode()) {
      const holder = node.parentElement;
      if (!node.data.trim() || !seen(holder) || holder.closest(".unseen, .skip, script, style, .idle, dialog")) continue;
      range.selectNodeContents(node);
      for (const { left, right, top, bottom } of range.getClientRects()) found.push({ node, left, right, top, bottom });
    }
    return found;
  };
  const fits = (how) => {
    if (root.scrollWidth > width) found.push(`scrolls sideways${how}: ${root.scrollWidth} of ${width} px`);
    const all = lines();
    for (const [index, one] of all.entries()) {
      if (one.left < -1 || one.right > width + 1) found.push(`${short(one.node.parentElement)} is cut off${how}`);
      for (const other of all.slice(index + 1)) {
        const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
        const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
        // Lines are set closer than their letters are high.
        if (one.node !== other.node && across > 2 && down > (one.bottom - one.top) / 2) {
          found.push(`“${one.node.data.trim()}” and “${other.node.data.trim()}” stand on one another${how}`);
        }
      }
    }
    for (const element of document.querySelectorAll("main *, header *, footer *")) {
      const cut = seen(element) && !element.matches("input, .unseen, .unseen *, svg, svg *, q") && element.scrollWidth > element.clientWidth + 1;
      if (cut && getComputedStyle(element).display !== "inline") found.push(`${short(element)} is wider than its place${how}`);
    }
  };
  fits("");
  root.style.fontSize = "200%";
  fits(" with letters of twice the size");
  root.style.fontSize = "";
  // WCAG 1.4.12.
  const spaced = new CSSStyleSheet();
  spaced.replaceSync("*{line-height:1.5!important;letter-spacing:.12em!important;word-spacing:.16em!important}p{margin-bottom:2em!important}");
  document.adoptedStyleSheets = [spaced];
  fits(" with text spaced out");
  document.adoptedStyleSheets = [];

  for (const element of document.querySelectorAll("button, a[href], input, summary, label.choice")) {
    const inText = element.matches("a") && getComputedStyle(element).display === "inline" && text(element) !== text(element.parentElement);
    if (!seen(element) || element.type === "radio" || element.matches(".skip") || inText) continue;
    const { width: w, height: h } = element.getBoundingClientRect();
    const least = element.matches("main input, main button") ? 56 : 48;
    if (h < least - 0.5 || w < 48 - 0.5) found.push(`${short(element)} is only ${w} × ${h} px`);
  }
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    if (!seen(element) || element.matches(".unseen, .unseen *")) continue;
    const size = parseFloat(getComputedStyle(element).fontSize);
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (own && size < 15) found.push(`${short(element)} is written in ${size} px`);
  }
  for (const input of document.querySelectorAll("main input:not([type=hidden]):not([type=radio])")) {
    const token = tokens[input.name];
    if (token !== input.autocomplete) found.push(`${input.name} is filled in as “${input.autocomplete}”, not “${token}”`);
  }

  // What is read out of its context, as in a list of links, says what it is.
  const named = {};
  for (const element of document.querySelectorAll("a[href], button, summary")) {
    if (!seen(element) && !element.matches(".unseen *")) continue;
    const name = element.getAttribute("aria-label") ?? text(element);
    if (!name) found.push(`${short(element)} has no name`);
    if (element.matches("summary, dialog *, .eye")) continue;
    const page = (address) => address.split("?")[0];
    const to = page(element.href ?? element.form.action) + (element.name ? ` ${element.name}=${element.value}` : "");
    if ((named[name] ??= to) !== to) found.push(`“${name}” leads to ${named[name]} and to ${to}`);
  }

  if (document.querySelectorAll("h1").length !== 1) found.push("has not one h1");
  const [current, other] = ["[aria-current]", "a[hreflang]"].map((what) => document.querySelectorAll(`header .languages ${what}`));
  if (current.length !== 1 || current[0].lang !== root.lang) found.push("does not say which language this is");
  if (other.length !== 1 || other[0].lang === root.lang || other[0].lang !== other[0].hreflang) found.push("has no way to the other language");
  if (document.querySelectorAll("footer summary").length < 2) found.push("has no help");
  if (document.querySelector(".bar.member") && !document.querySelector("header a[href^='/logout']")) found.push("has no way to log out");
  return found;
}

/** Runs inside the page: the places where Tab should stop, in the order of the source, or where it stands. */
function stops(only) {
  const number = (element) => [...document.querySelectorAll("*")].indexOf(element);
  if (only === "here") {
    const here = document.activeElement === document.body ? null : document.activeElement;
    if (!here) return [-1, ""];
    const { outlineStyle, outlineWidth } = getComputedStyle(here);
    const { left, top, width, height } = here.getClientRects()[0];
    const over = document.elementFromPoint(left + width / 2, top + height / 2);
    const hidden = !over || !(here.contains(over) || over.contains(here) || here.closest("label")?.contains(over));
    const ring = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
    return [number(here), hidden ? "is hidden" : ring ? "" : "has no ring"];
  }
  const root = document.querySelector("dialog[open]") ?? document;
  const all = [...root.querySelectorAll("a[href], button, input:not([type=hidden]), summary, [tabindex]")].filter((element) => {
    if (element.tabIndex < 0 || !element.checkVisibility({ visibilityProperty: true })) return false;
    if (element.type !== "radio") return true;
    const group = [...document.getElementsByName(element.name)];
    return element === (group.find((radio) => radio.checked) ?? group[0]);
  });
  all[0].focus();
  return all.map(number);
}

/** Goes through the page with Tab: everything is reached, in the order of the source. */
async function tabThrough(page, complain) {
  const expected = await page.evaluate(stops, "all");
  const reached = [expected[0]];
  while (reached.length <= expected.length) {
    await page.keyboard.press("Tab");
    const [here, trouble] = await page.evaluate(stops, "here");
    if (here < 0 || here === expected[0]) break;
    if (trouble) complain(`the ${reached.length + 1}th place where Tab stops ${trouble}`);
    reached.push(here);
  }
  if (reached.join() !== expected.join()) complain(`Tab stops at ${reached}, where the source has ${expected}`);
}

/** The rules of HTML, but for how it is written down. */
const html = new HtmlValidate({ extends: ["html-validate:standard"] });

/** Looks at the source of the page, as it came. */
async function read(page, complain) {
  const report = await html.validateString(await page.source);
  for (const { line, message, ruleId } of report.results.flatMap((result) => result.messages)) complain(`line ${line}: ${message} (${ruleId})`);
}

/** Looks at the page in every view of the plan; keeps a picture of it, and what is read aloud. */
export async function inspect(page, walk, name) {
  looks += 1;
  const complain = (text) => wrong.push(`${walk.lang}${walk.scripts ? "" : ", no scripts"}, ${name}: ${text}`);
  const lang = await page.locator("html").getAttribute("lang");
  if (lang !== walk.lang) complain(`is in ${lang}`);
  await read(page, complain);
  // Unless there is time for everything, axe sees a page in one view; in the other language in the other one.
  const letters = [...name].reduce((sum, letter) => sum + letter.codePointAt(0), Number(walk.lang === "ja"));
  const judged = plan.long ? plan.views : [plan.views[letters % plan.views.length]];
  for (const view of plan.views) {
    const { width, colorScheme } = view;
    await page.setViewportSize({ width, height: 844 });
    await page.emulateMedia({ colorScheme });
    for (const text of await page.evaluate(measure, { width, tokens })) complain(`${width} px: ${text}`);
    if (!walk.scripts || !judged.includes(view)) continue;
    if (plan.long) await page.screenshot({ path: `${plan.shots}/${walk.lang}-${name}-${width}-${colorScheme}.png`, fullPage: true });
    await page.evaluate(axe);
    const { violations } = await page.evaluate((tags) => window.axe.run({ runOnly: { type: "tag", values: tags } }), plan.tags);
    for (const { id, nodes } of violations) {
      complain(`${width} px, ${colorScheme}: axe ${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join(" | ")}`);
    }
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await page.emulateMedia({ colorScheme: "light" });
  if (walk.scripts) {
    await page.screenshot({ path: `${plan.shots}/${walk.lang}-${name}.png`, fullPage: true });
    await writeFile(`${plan.shots}/${walk.lang}-${name}.html`, await page.source);
    await writeFile(`${plan.shots}/${walk.lang}-${name}.txt`, await page.locator("body").ariaSnapshot());
  }
  await tabThrough(page, complain);
}

/** Waits for a text of the page. */
export async function expectText(page, text, where) {
  await page.getByText(text).first().waitFor({ timeout: 60_000 }).catch(async () => {
    throw new Error(`${where}: no “${text}” on ${page.url()}:\n${await page.locator("body").innerText()}`);
  });
}

/** Waits for the page with this heading. */
export async function expectTitle(page, title) {
  await page.getByRole("heading", { level: 1, name: title, exact: true }).waitFor({ timeout: 60_000 }).catch(async () => {
    throw new Error(`no page “${title}” but ${page.url()}:\n${await page.locator("body").innerText()}`);
  });
}

/** Opens a page in a fresh context: no cookies, the walk's language. */
export async function fresh(browser, walk) {
  const context = await browser.newContext({
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 1,
    locale: walk.lang === "ja" ? "ja-JP" : "en-US",
    javaScriptEnabled: walk.scripts,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("console", (message) => message.type() === "error" && /Content Security|Refused/.test(message.text()) && wrong.push(`console: ${message.text()}`));
  page.on("response", (answer) => {
    const { status, request } = { status: answer.status(), request: answer.request() };
    if (request.isNavigationRequest() && (status < 300 || status >= 400)) page.source = answer.text();
  });
  page.on("request", (request) => request.url().startsWith(plan.base) || wrong.push(`asked a third party: ${request.url()}`));
  return page;
}

/** Looks at what a first visit loads. */
export async function weigh(browser, walk, path) {
  const page = await fresh(browser, walk);
  const answers = [];
  page.on("response", (response) => answers.push(response));
  await page.goto(plan.base + path, { waitUntil: "networkidle" });
  const sum = (sizes) => sizes.reduce((all, size) => all + size, 0);
  const all = sum(await Promise.all(answers.map(async (answer) => (await answer.body()).length)));
  const wire = sum(await Promise.all(answers.map(async (answer) => sum(Object.values(await answer.request().sizes())))));
  if (answers.length > 2 || all > 30 * 1024 || wire > 14 * 1024) {
    wrong.push(`${path} takes ${answers.length} requests and ${all} bytes, ${wire} on the wire`);
  }
  await page.context().close();
}

/** The keyboard of a page. */
export function keys(page) {
  const press = (key) => page.keyboard.press(key);
  const reach = async (selector) => {
    for (let step = 0; step < 80; step += 1) {
      await press("Tab");
      if (await page.evaluate((what) => document.activeElement.matches(what), selector)) return;
    }
    throw new Error(`Tab does not reach ${selector} on ${page.url()}`);
  };
  /** Goes to a field and fills it in, or empties it; what is in it already is selected by going there. */
  const type = async (selector, text) => {
    await reach(selector);
    await (text ? page.keyboard.type(text) : press("Delete"));
  };
  const follow = async (selector) => {
    await reach(selector);
    await press("Enter");
  };
  return { press, reach, type, follow };
}

/** Runs a walk in Chromium, says what was seen, and ends. */
export async function walkThrough(walk) {
  await mkdir(plan.shots, { recursive: true });
  const browser = await chromium.launch({ executablePath: plan.chromium, args: plan.flags });
  try {
    await walk(browser);
  } catch (error) {
    wrong.push(String(error));
  } finally {
    await browser.close();
  }
  console.log(`${looks} looks at pages; screenshots in ${plan.shots}`);
  for (const text of wrong) console.log(`WRONG ${text}`);
  process.exit(wrong.length ? 1 : 0);
}
