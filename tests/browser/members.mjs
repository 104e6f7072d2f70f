// Drives Chromium through the pages of a member by keyboard alone, with scripts and without, and looks at each page on the way.

import { expectText, expectTitle, fresh, plan, turn, walkThrough, weigh, wrong } from "./look.mjs";
import { Member, submit } from "./member.mjs";

const words = {
  ja: {
    login: "ログイン", empty: "IDを入力してください", failed: "ログインできませんでした", first: "新しいパスワードを決める",
    weak: "弱（■□□）", mismatch: "2回の入力がちがっています", changed: "パスワードを変更しました", menu: "メニュー",
    change: "パスワードの変更", code: "団体コードと同じパスワードは使えません", bookmark: "この画面をブックマークしてください",
    again: "パスワードの確認", notRight: "パスワードがちがっています", before: "前回のログイン", sure: "ログアウトの確認",
    ask: "ログアウトします。よろしいですか。", out: "ログアウトしました",
  },
  en: {
    login: "Log in", empty: "Please enter the ID", failed: "You could not be logged in", first: "Choose a new password",
    weak: "weak (■□□)", mismatch: "The two entries differ", changed: "Your password has been changed", menu: "Menu",
    change: "Change the password", code: "must not be the organisation code", bookmark: "Bookmark this page",
    again: "Your password, please", notRight: "The password is not right", before: "Last login", sure: "Log out?",
    ask: "You are about to log out.", out: "You are logged out",
  },
};

const menu = "main a[href='/account']";

async function logIn(member) {
  const { t, walk } = member;
  await member.open("/login");
  await member.isOn(t.login, "login");
  await member.sendEmpty();
  await member.isTold(t.empty, "login-empty");
  await member.logIn("not-the-password");
  await member.isTold(t.failed, "login-refused");
  await member.logIn(walk.start);
  await member.isOn(t.first, "first-password");
}

/** With scripts: an eye in the field, and the gauge as soon as the field is left. */
async function eye(member) {
  const { page, t, walk } = member;
  await member.type("#new", "19580312");
  await member.press("Tab");
  await page.locator("#strength").getByText(t.weak).waitFor();
  for (const [pressed, kind] of [["true", "text"], ["false", "password"]]) {
    await member.press("Space");
    await member.isKind(kind);
    if (!(await page.locator(`.eye:focus[aria-pressed=${pressed}]`).count())) wrong.push(`${walk.lang}: the eye is not ${pressed}`);
  }
  await member.look("gauge");
}

/** Without: a link, and the gauge with the answer. */
async function plainEye(member) {
  await member.follow("[data-plain] a");
  await member.isKind("text");
  await member.follow("[data-plain] a");
  await member.isKind("password");
}

async function firstPassword(member) {
  const { page, t, walk } = member;
  await (walk.scripts ? eye(member) : plainEye(member));
  await member.choose("19580312", "19580313");
  await expectText(page, t.mismatch, "mismatch");
  await expectText(page, t.weak, "mismatch");
  await member.isTold(t.mismatch, "mismatch");
  await member.choose(walk.own, walk.own);
  await expectText(page, t.changed, "first password");
  await member.isOn(t.menu, "menu-changed");
}

async function menuPages(member) {
  const { page, t, walk } = member;
  await member.open("/account");
  await member.isOn(t.menu, "menu");
  await member.follow("main a[href='/account/password']");
  await member.isOn(t.change, "change");
  await member.choose("demo", "demo");
  await member.isTold(t.code, "change-refused");
  await member.choose(`${walk.own}-2`, `${walk.own}-2`);
  await expectText(page, t.changed, "another password");
  await member.follow("main a[href$='/account/bookmark']");
  await member.isOn(t.bookmark, "bookmark");
  await member.follow(menu);
  await expectTitle(page, t.menu);

  // The other language, and back.
  const other = walk.lang === "ja" ? "en" : "ja";
  await member.follow(`.languages a[lang=${other}]`);
  await expectTitle(page, words[other].menu);
  await member.follow(`.languages a[lang=${walk.lang}]`);
  await expectTitle(page, t.menu);
}

/** Later the password is asked for before it is changed. */
async function onceMore(member) {
  const { t, walk } = member;
  await turn(300);
  await member.open("/account");
  await member.follow("main a[href='/account/password']");
  await member.isOn(t.again, "again");
  await member.type("#password", "not-the-password");
  await member.press("Enter");
  await member.isTold(t.notRight, "again-refused");
  await member.type("#password", `${walk.own}-2`);
  await member.press("Enter");
  await expectTitle(member.page, t.change);
  await member.follow(".back a");
  await expectTitle(member.page, t.menu);
}

async function logOut(member) {
  const { page, t, walk } = member;
  const out = "header a[href^='/logout']";
  await member.follow(out);
  if (walk.scripts) {
    await page.locator("dialog[open]").getByText(t.ask).waitFor();
    await member.look("logout-dialog");
    await member.press("Escape");
    await page.locator("dialog[open]").waitFor({ state: "detached" });
    if (!(await page.locator(`${out}:focus`).count())) wrong.push(`${walk.lang}: the dialog does not give the focus back`);
    await member.press("Enter");
    await member.follow("dialog button[value=yes]");
  } else {
    await member.isOn(t.sure, "logout");
    await member.follow(`main a.button`);
    await expectTitle(page, t.menu);
    await member.follow(out);
    await expectTitle(page, t.sure);
    await member.follow(submit);
  }
  await member.isOn(t.out, "logged-out");
}

async function person(browser, walk) {
  const member = new Member(await fresh(browser, walk), walk, words[walk.lang], "m");
  const { page, t } = member;
  await logIn(member);
  await firstPassword(member);
  await menuPages(member);
  await onceMore(member);
  await logOut(member);
  await member.open("/login");
  await member.logIn(`${walk.own}-2`);
  await expectText(page, t.before, "the next login");
  await member.isOn(t.menu, "menu-again");
  await page.context().close();
}

await walkThrough(async (browser) => {
  for (const walk of plan.walks) await person(browser, walk);
  for (const path of ["/", "/login", "/account/bookmark"]) await weigh(browser, plan.walks[0], path);
});
