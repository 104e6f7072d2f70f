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
    empty: "ワンタイムパスワードを入力してください", out: "ログアウトしました", password: "パスワードの確認", toBeSent: "登録されているメールアドレスに",
    tooSoon: "続けて送れる回数を超えました", burnt: "まちがいが5回続いた", removeMail: "メールの解除", mailRemoved: "メールでの二要素認証を解除しました",
  },
  en: {
    first: "Choose a new password", title: "Two-factor login", menu: "Menu", done: "Two-factor login is set up",
    code: "Your one-time password", backup: "Enter your backup code", removeApp: "Remove the authenticator app", removed: "It will be removed",
    wrongApp: "The one-time password is wrong or was used before", wrongMail: "The one-time password is wrong. Please check the digits", noAddress: "Please enter a valid email address",
    sent: "The one-time password is on its way", backupWrong: "That is not the backup code", backupUsed: "Your backup code was right",
    empty: "Please enter the one-time password", out: "You are logged out", password: "Your password, please", toBeSent: "We send a one-time password to the address",
    tooSoon: "Too many were sent in a row", burnt: "After five wrong tries", removeMail: "Remove the email address", mailRemoved: "The email address was removed",
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

/** Enters a code, and waits for the answer: it may look like the page before. */
async function enter(member, code) {
  const answered = member.page.waitForEvent("load");
  await member.type("#otp", code);
  await member.press("Enter");
  await answered;
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

/** The code of a mail that came to that address, and is not one of the `known` ones. */
async function codeFor(member, address, known = []) {
  const codeIn = (letter) => letter.match(/^\d{3} ?\d{3}$/m)?.[0];
  const letter = await member.letter(address, (text) => codeIn(text) && !known.includes(codeIn(text)));
  return codeIn(letter);
}

/** Sets an address up, too; gives the code that was good for it. */
async function setUpMail(member) {
  const { page, t, walk } = member;
  const address = `${walk.id}@example.jp`;
  await member.open("/account/two-factor/mail");
  await member.isOn(t.title, "mail");
  await member.type("#email", "nonsense@");
  // A browser would say so itself; the page says it, too.
  await page.evaluate(() => (document.querySelector("#email").form.noValidate = true));
  await member.press("Enter");
  await member.isTold(t.noAddress, "mail-refused");
  await member.type("#email", address);
  await member.press("Enter");
  await expectText(page, t.sent, "mail sent");
  await member.look("mail-sent");
  await enter(member, "12");
  await member.isTold(t.wrongMail, "mail-wrong");
  const code = await codeFor(member, address);
  await enter(member, code);
  await member.isOn(t.done, "mail-done");
  return code;
}

/** Logs in with a code that comes by mail, from its order to its entry; five wrong ones burn the first. */
async function logInByMail(member, known) {
  const { page, t, walk } = member;
  const address = `${walk.id}@example.jp`;
  await logIn(member, walk.own);
  await expectTitle(page, t.code);
  await member.follow("main a[href^='/login/code/mail']");
  await expectText(page, t.toBeSent, "before the order");
  await member.look("code-order");
  await member.follow(submit);
  await expectText(page, t.sent, "ordered");
  await member.look("code-sent");
  await member.follow(`${submit}.quiet`);
  await member.isTold(t.tooSoon, "code-too-soon");
  const burnt = await codeFor(member, address, [known]);
  await enter(member, "12");
  await member.isTold(t.wrongMail, "code-wrong");
  for (let time = 0; time < 4; time += 1) {
    await turn(60);
    await enter(member, "12");
  }
  await member.isTold(t.burnt, "code-burnt");
  await turn(60);
  await member.follow(submit);
  await expectText(page, t.sent, "ordered again");
  const code = await codeFor(member, address, [known, burnt]);
  await enter(member, code);
  await expectTitle(page, t.menu);
  return [known, burnt, code];
}

/** The address goes, against a code of its own. */
async function removeMail(member, known) {
  const { page, t, walk } = member;
  await turn(300);
  await member.follow("header a.icon");
  await member.isOn(t.title, "overview-both");
  await member.follow("main a[href^='/account/two-factor/remove/mail']");
  await expectTitle(page, t.password);
  await member.type("#password", walk.own);
  await member.press("Enter");
  await expectTitle(page, t.removeMail);
  await member.follow("main a[href*='/remove/mail/mail']");
  await expectText(page, t.toBeSent, "before the order");
  await member.look("remove-mail");
  await member.follow(submit);
  await expectText(page, t.sent, "ordered");
  await member.look("remove-mail-sent");
  await enter(member, await codeFor(member, `${walk.id}@example.jp`, known));
  await expectText(page, t.mailRemoved, "removed");
  await member.look("mail-removed");
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
  const setUp = await setUpMail(member);
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

  await removeMail(member, await logInByMail(member, setUp));
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
