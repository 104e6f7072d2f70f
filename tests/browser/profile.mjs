// Drives Chromium by keyboard alone through a member's email addresses: typed, tested by a mail that arrives, confirmed from
// its link, saved after a question, and kept while the login is over, with scripts and without.

import { expectText, expectTitle, fresh, plan, turn, walkThrough, wrong } from "./look.mjs";
import { Member, submit } from "./member.mjs";

const words = {
  ja: {
    first: "新しいパスワードを決める", menu: "メニュー", title: "個人情報メンテナンス", sure: "登録の確認", login: "ログイン",
    bad: "メールアドレスの形になっていません", twice: "同じアドレスが", empty: "テストするアドレスを入力してください", often: "1時間に3回まで",
    waits: "テストメールの状況", arrived: "届くことを確認できています", contact: "テストメールの確認", done: "届くことを確認しました",
    unsaved: "まだ登録していない入力があります", saved: "登録しました。", same: "変更はありませんでした", none: "アドレスがひとつもなくなります",
    kept: "入力の途中だった内容は残してあります", help: "メールが届かないとき",
  },
  en: {
    first: "Choose a new password", menu: "Menu", title: "Personal information", sure: "Please confirm", login: "Log in",
    bad: "This is not an email address", twice: "The same address stands", empty: "Please enter the address to be tested", often: "at most three tests an hour",
    waits: "The test mail", arrived: "Confirmed: mail arrives here", contact: "Confirm the test mail", done: "Mail arrives here",
    unsaved: "changes that are not registered yet", saved: "Your changes have been saved", same: "Nothing has changed", none: "No address is left",
    kept: "What you had entered has been kept", help: "When mail does not arrive",
  },
};

const save = `${submit}:not([name]):not([hidden])`;
const test = (place) => `button[name=test][value='${place}']`;

async function firstLogin(member) {
  const { t, walk } = member;
  await member.open("/login");
  await member.logIn(walk.start);
  await expectTitle(member.page, t.first);
  await member.choose(walk.own, walk.own);
  await expectTitle(member.page, t.menu);
  await member.follow("main a[href='/account/profile']");
  await member.isOn(t.title, "profile");
}

/** Takes back what was typed: the page is the same, but for the button. */
async function takeBack(member) {
  await member.follow("button[name=reset]");
  await member.page.locator("button[name=reset]").waitFor({ state: "detached" });
}

/** What is no address, stands there twice, or is missing is said at its field, where what was typed still stands. */
async function mistakes(member) {
  const { page, t, walk } = member;
  await member.type("#mail1", "hanako@");
  await member.type("#mail2", walk.taken);
  await member.follow(save);
  await member.isTold(t.bad, "profile-refused");
  if ((await page.locator("#mail1").inputValue()) !== "hanako@") wrong.push("what was typed is lost");
  await member.type("#mail1", walk.taken);
  await member.type("#mail3", walk.taken.toUpperCase());
  await member.follow(save);
  await member.isTold(t.twice, "profile-twice");
  await takeBack(member);
  if ((await page.locator("#mail1").inputValue()) !== walk.taken) wrong.push("what was typed was not taken back");
  await member.follow(test(2));
  await member.isTold(t.empty, "profile-empty");
}

/** The first address is mistyped, so it is overwritten and tested again (R108). */
async function testOf(member, place, address) {
  const { page, t } = member;
  for (const typed of [address.replace("@", ".@"), address]) {
    await member.type(`#mail${place}`, typed);
    await member.follow(test(place));
    await expectTitle(page, t.waits);
    await expectText(page, typed, "the test mail");
    if (typed !== address) await member.leave(".back a", t.title);
  }
}

/** Another device: the mail's link, and the button behind it. */
async function confirm(browser, member, address) {
  const { t, walk } = member;
  const letter = await member.letter(address);
  const link = letter.match(/https?:\S+/)[0];
  const phone = new Member(await fresh(browser, walk), walk, t, `${member.series}phone`);
  await phone.page.goto(link);
  await phone.isOn(t.contact, "contact");
  await phone.follow(submit);
  await phone.isOn(t.done, "contact-done");
  await phone.page.context().close();
}

/** The page renews itself, without scripts and with them, until it has nothing more to wait for. */
async function waitFor(browser, member, address) {
  const { page, t } = member;
  // A page that renews itself does not hold still for a look; it can be asked to.
  await member.open("/account/profile/test?still=1");
  await member.isOn(t.waits, "test-waits");
  await member.open("/account/profile/test");
  await expectTitle(page, t.waits);
  await confirm(browser, member, address);
  await expectText(page, t.arrived, "the page that renews itself");
  await member.look("test-arrived");
  if (await page.locator("[data-again], meta[http-equiv=refresh]").count()) wrong.push("the page goes on renewing itself");
  await member.follow("main a.button");
  await expectTitle(page, t.title);
}

/** Nothing is saved before the question was answered (R072). */
async function saveAfterQuestion(member) {
  const { page, t } = member;
  await expectText(page, t.unsaved, "unsaved");
  await member.look("profile-unsaved");
  await member.follow(save);
  await member.isOn(t.sure, "profile-confirm");
  await member.follow("main a.button.quiet");
  await expectText(page, t.unsaved, "cancelled");
  await member.follow(save);
  await expectTitle(page, t.sure);
  await member.follow(save);
  await expectText(page, t.saved, "saved");
  // The state of the address that was proven stands at its field.
  await page.locator(".known .standing.good").getByText(t.arrived).waitFor();
  await member.look("profile-saved");
  await member.follow(save);
  await expectText(page, t.same, "the same");
  await member.look("profile-same");
}

/** Every address is emptied; then the login is over, and what was typed is there again after the next. */
async function keptThrough(member) {
  const { page, t, walk } = member;
  for (const place of [1, 2, 3]) await member.type(`#mail${place}`, "");
  await member.follow(save);
  await member.isOn(t.sure, "profile-confirm-none");
  await expectText(page, t.none, "none is left");
  await member.follow(".back a");
  await expectTitle(page, t.title);
  await takeBack(member);
  await member.type("#mail3", `${walk.id}.later@example.jp`);
  await turn(31 * 60);
  await member.follow(save);
  await expectText(page, t.kept, "kept");
  await member.look("login-kept");
  await member.logIn(walk.own);
  await expectText(page, t.unsaved, "restored");
  await member.look("profile-restored");
  if ((await page.locator("#mail3").inputValue()) !== `${walk.id}.later@example.jp`) wrong.push("what was half filled is lost");
}

/** The fourth test of an hour is refused; the help knows the member's own addresses. */
async function tooOften(member) {
  const { page, t } = member;
  for (let time = 0; time < 3; time += 1) {
    await member.follow(test(3));
    await expectTitle(page, t.waits);
    await member.leave("main a.button", t.title);
  }
  await member.follow(test(3));
  await member.isTold(t.often, "profile-often");
  await member.follow("main a[href='/help/mail']");
  await member.isOn(t.help, "help-own");
}

async function person(browser, walk) {
  const member = new Member(await fresh(browser, walk), walk, words[walk.lang], "p");
  await firstLogin(member);
  await mistakes(member);
  const address = `${walk.id}.hanako@example.jp`;
  await testOf(member, 1, address);
  await waitFor(browser, member, address);
  await saveAfterQuestion(member);
  await keptThrough(member);
  await tooOften(member);
  await member.page.context().close();
}

await walkThrough(async (browser) => {
  for (const walk of plan.walks) await person(browser, walk);
});
