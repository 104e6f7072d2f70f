// Drives Chromium through two-factor login by keyboard alone: an app is set up from the QR code on the screen, used, lost and
// set up again, with scripts and without.

import { execFileSync } from "node:child_process";
import { expectText, expectTitle, fresh, plan, turn, walkThrough, wrong } from "./look.mjs";
import { Member, submit } from "./member.mjs";

const words = {
  ja: {
    first: "新しいパスワードを決める", title: "二要素認証設定", menu: "メニュー", done: "二要素認証の登録が完了しました",
    code: "ワンタイムパスワードの入力", backup: "バックアップコードの入力", removeApp: "認証アプリの解除", removed: "解除を受け付けました",
    wrongApp: "ワンタイムパスワードがちがうか", wrongMail: "ワンタイムパスワードがちがいます", noAddress: "メールアドレスを正しく入力してください",
    sent: "ワンタイムパスワードをメールで送りました", backupWrong: "バックアップコードがちがいます", backupUsed: "バックアップコードを確認しました",
    empty: "ワンタイムパスワードを入力してください", out: "ログアウトしました",
  },
  en: {
    first: "Choose a new password", title: "Two-factor login", menu: "Menu", done: "Two-factor login is set up",
    code: "Enter your one-time password", backup: "Enter your backup code", removeApp: "Remove the authenticator app", removed: "It will be removed",
    wrongApp: "It is wrong or was used before", wrongMail: "It is wrong. Please check the digits", noAddress: "Please enter a valid mail address",
    sent: "The one-time password is on its way", backupWrong: "That is not the backup code", backupUsed: "Your backup code was right",
    empty: "Please enter the one-time password", out: "You are logged out",
  },
};

/** What an authenticator app shows for a key at a time. */
const codeOf = (key, now) => execFileSync("oathtool", ["--totp", "-b", key, "-N", `@${now}`]).toString().trim();

/** Scans the QR code on the screen as a phone would; gives the key. */
async function scan(member) {
  const file = `${plan.shots}/${member.walk.lang}-qr.png`;
  await member.page.locator("svg.qr").screenshot({ path: file });
  const address = execFileSync("zbarimg", ["--quiet", "--nodbus", "--raw", file]).toString().trim();
  const link = await member.page.locator("main a[href^='otpauth:']").getAttribute("href");
  if (address !== link) wrong.push(`${member.walk.lang}: the QR code says ${address}, the link ${link}`);
  return new URL(address).searchParams.get("secret");
}

async function logIn(member, password) {
  await member.open("/login");
  await member.type("#org", "demo");
  await member.type("#id", member.walk.id);
  await member.type("#password", password);
  await member.press("Enter");
}

async function enter(member, code) {
  await member.type("#otp", code);
  await member.press("Enter");
}

/** Sets an app up; gives its key. */
async function setUpApp(member) {
  const { page, t } = member;
  await member.follow("main a[href^='/account/two-factor/app']");
  await page.locator("svg.qr").waitFor();
  await member.look("app");
  const key = await scan(member);
  await enter(member, "000000");
  await member.isTold(t.wrongApp, "app-refused");
  if ((await scan(member)) !== key) wrong.push("a mistyped code changes the QR code");
  await enter(member, codeOf(key, await turn(30)));
  await member.isOn(t.done, "done");
  return key;
}

/** The address that could be set up instead. */
async function tryMail(member) {
  const { page, t } = member;
  await member.open("/account/two-factor/mail");
  await member.isOn(t.title, "mail");
  await member.type("#email", "nonsense@");
  // A browser would say so itself; the page says it, too.
  await page.evaluate(() => (document.querySelector("#email").form.noValidate = true));
  await member.press("Enter");
  await member.isTold(t.noAddress, "mail-refused");
  await member.type("#email", `${member.walk.id}@example.jp`);
  await member.press("Enter");
  await expectText(page, t.sent, "mail sent");
  await member.look("mail-sent");
  await enter(member, "12");
  await member.isTold(t.wrongMail, "mail-wrong");
}

/** The only way is removed, so that another one is set up at once. */
async function remove(member, key) {
  const { page, t } = member;
  await member.open("/account");
  await member.follow("header a.icon");
  await member.isOn(t.title, "overview");
  await member.follow("main a[href^='/account/two-factor/remove/app']");
  await member.isOn(t.removeApp, "remove");
  await enter(member, "000000");
  await member.isTold(t.wrongApp, "remove-refused");
  await member.follow("main a.button.quiet");
  await expectTitle(page, t.title);
  await member.follow("main a[href^='/account/two-factor/remove/app']");
  await expectTitle(page, t.removeApp);
  await enter(member, codeOf(key, await turn(60)));
  await expectText(page, t.removed, "removed");
  await member.look("removed");
  return setUpApp(member);
}

async function logOut(member) {
  await member.follow("header a[href^='/logout']");
  if (member.walk.scripts) {
    await member.page.locator("dialog[open]").waitFor();
    await member.press("Enter");
  } else {
    await member.page.waitForURL(/logout/);
    await member.follow(submit);
  }
  await expectTitle(member.page, member.t.out);
}

async function person(browser, walk) {
  const member = new Member(await fresh(browser, walk), walk, words[walk.lang], "f");
  const { page, t } = member;
  await logIn(member, walk.start);
  await expectTitle(page, t.first);
  await member.choose(walk.own, walk.own);
  await member.isOn(t.title, "needed");
  const first = await setUpApp(member);
  const backup = await page.locator(".mailbox.large").innerText();
  await member.follow("main button");
  await expectTitle(page, t.menu);
  const key = await remove(member, first);
  await tryMail(member);
  await logOut(member);

  await logIn(member, walk.own);
  await member.isOn(t.code, "code");
  await member.sendEmpty();
  await member.isTold(t.empty, "code-empty");
  await enter(member, "000000");
  await member.isTold(t.wrongApp, "code-refused");
  await enter(member, codeOf(key, await turn(60)));
  await expectTitle(page, t.menu);
  await logOut(member);

  // The phone is lost.
  await logIn(member, walk.own);
  await expectTitle(page, t.code);
  await member.follow("main a[href^='/login/backup']");
  await member.isOn(t.backup, "backup");
  await member.type("#code", "1234");
  await member.press("Enter");
  await member.isTold(t.backupWrong, "backup-refused");
  await member.type("#code", backup);
  await member.press("Enter");
  await expectText(page, t.backupUsed, "backup");
  await member.isOn(t.title, "again");
  const next = await setUpApp(member);
  if (next === key) wrong.push("the key is the one that was lost");
  await page.context().close();
}

await walkThrough(async (browser) => {
  for (const walk of plan.walks) await person(browser, walk);
});
