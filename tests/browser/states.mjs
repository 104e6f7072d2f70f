// Looks at the pages in the states that no walk comes through: planted in the store, each opened with a session of its own;
// and at what is only said to whoever does something odd.

import { close, expectTitle, fresh, inspect, plan, walkThrough, wrong } from "./look.mjs";

const words = {
  ja: {
    large: "送られた内容が大きすぎます", foreign: "この操作は受け付けられません", missing: "ページが見つかりません", busy: "ただいま混み合っています",
    weak: "弱（■□□）", medium: "中（■■□）", strong: "強（■■■）", common: "多くの人が使っているか", confirm: "登録の確認",
  },
  en: {
    large: "Too much was sent", foreign: "This could not be accepted", missing: "Page not found", busy: "Very busy at the moment",
    weak: "weak (■□□)", medium: "medium (■■□)", strong: "strong (■■■)", common: "Many people use this password", confirm: "Please confirm",
  },
};

const crumb = (name, value) => ({ name, value, url: plan.base });

/** Opens a page in the session and with the note that belong to it. */
async function open(page, { path, session, note }) {
  const context = page.context();
  await context.clearCookies();
  if (session) await context.addCookies([crumb("karamail", session)]);
  if (note) await context.addCookies([crumb("karamail-note", note)]);
  return page.goto(plan.base + path);
}

async function planted(page, walk, look) {
  await open(page, look);
  if (look.press) {
    await page.click(look.press);
    await page.waitForURL((url) => url.pathname === look.lands);
  }
  if (look.open) await page.evaluate(() => document.querySelectorAll("details").forEach((all) => (all.open = true)));
  const { pathname } = new URL(page.url());
  const lands = look.lands ?? look.path.split("?")[0];
  if (pathname !== lands) wrong.push(`${walk.lang}, ${look.name}: leads to ${pathname}, not to ${lands}`);
  if (!(await page.locator(look.sees).filter({ visible: true }).count())) wrong.push(`${walk.lang}, ${look.name}: there is no ${look.sees}`);
  await inspect(page, walk, `s-${look.name}`);
}

/** A stranger's form from elsewhere, one that is too large, and one that belongs to no page. */
async function oddities(page, walk) {
  const t = words[walk.lang];
  await open(page, { path: "/login" });
  await page.evaluate(() => {
    document.querySelectorAll("form input").forEach((input) => (input.required = false));
    Object.assign(document.querySelector("#id"), { maxLength: 99_999, value: "x".repeat(70_000) });
  });
  await page.click("main button[type=submit]");
  await expectTitle(page, t.large);
  await inspect(page, walk, "s-too-large");

  await page.goto("about:blank");
  await page.setContent(`<form method="post" action="${plan.base}/login"><button>Elsewhere</button></form>`);
  await page.click("button");
  await expectTitle(page, t.foreign);
  await inspect(page, walk, "s-foreign");
}

/** The gauge says what it thinks of a password when the field is left. */
async function gauge(page, walk, session) {
  const t = words[walk.lang];
  await open(page, { path: "/account/password", session });
  const judged = [["neko3tama", t.medium], ["kumo-ni-noru-saru-to-ame", t.strong], ["password", t.common]];
  for (const [index, [typed, says]] of judged.entries()) {
    await page.fill("#new", typed);
    await page.press("#new", "Tab");
    await page.locator("#strength").getByText(says).waitFor();
    await inspect(page, walk, `s-gauge-${index}`);
  }
}

/** Long addresses, where it is asked whether they are right. */
async function longConfirm(page, walk, look) {
  await open(page, look);
  await page.fill("#mail2", `another.${await page.inputValue("#mail1")}`);
  await page.fill("#mail1", "");
  await page.click("main form > button[type=submit]:not([hidden])");
  await expectTitle(page, words[walk.lang].confirm);
  await inspect(page, walk, "s-profile-confirm-long");
}

await walkThrough(async (browser) => {
  for (const walk of plan.walks) {
    const page = await fresh(browser, walk);
    for (const look of walk.looks) await planted(page, walk, look);
    await oddities(page, walk);
    await gauge(page, walk, walk.looks.find((look) => look.name === "password-character").session);
    await longConfirm(page, walk, walk.looks.find((look) => look.name === "profile-long"));
    await page.context().close();
  }
  // The store is gone, as while a disk is full.
  await close();
  for (const walk of plan.walks) {
    const page = await fresh(browser, walk);
    await open(page, { path: "/account", session: walk.looks.find((look) => look.session).session });
    await expectTitle(page, words[walk.lang].busy);
    await inspect(page, walk, "s-busy");
    await page.context().close();
  }
});
