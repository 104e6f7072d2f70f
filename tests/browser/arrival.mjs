// Drives Chromium by keyboard alone through what helps when mail does not arrive: the help page, and the page of a test mail.

import { expectTitle, fresh, plan, walkThrough, weigh } from "./look.mjs";
import { Member, submit } from "./member.mjs";

const words = {
  ja: { help: "メールが届かないとき", contact: "テストメールの確認", done: "届くことを確認しました", arrived: "確認はもう済んでいます", cut: "リンクが途中で切れています" },
  en: { help: "When mail does not arrive", contact: "Confirm the test mail", done: "Mail arrives here", arrived: "This is already confirmed", cut: "The link is incomplete" },
};

async function stranger(browser, walk) {
  const member = new Member(await fresh(browser, walk), walk, words[walk.lang], "h");
  const { page, t } = member;
  await member.open("/login");
  await member.follow("footer summary");
  await member.follow("footer a[href='/help/mail']");
  await member.isOn(t.help, "help");
  await member.follow("main summary");
  await page.locator("main details[open]").waitFor();
  await member.look("help-open");
  await member.open(`/c/${walk.test}`);
  await member.isOn(t.contact, "contact");
  await member.follow(submit);
  await member.isOn(t.done, "contact-done");
  await member.open(`/c/${walk.test}`);
  await member.isOn(t.arrived, "contact-again");
  await member.open(`/c/${walk.test.slice(0, 20)}`);
  await member.isOn(t.cut, "contact-cut");
  await page.context().close();
}

await walkThrough(async (browser) => {
  for (const path of ["/help/mail", `/c/${plan.walks[0].test}`]) await weigh(browser, plan.walks[0], path);
  for (const walk of plan.walks) await stranger(browser, walk);
});
