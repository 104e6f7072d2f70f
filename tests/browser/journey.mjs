// Drives Chromium through the landing pages as a person would, and looks at each page on the way.

import { expectText, fresh, inspect, keys, plan, walkThrough, wrong } from "./look.mjs";

const words = {
  ja: {
    landing: "メールアドレスの登録", failed: "ログインできませんでした", login: "ログイン", change: "新しいパスワードを決める",
    mismatch: "2回の入力がちがっています", use: "登録", changed: "パスワードを変更しました", priority: "優先順位を選ぶ",
    register: "登録する", confirm: "登録の確認", replace: "入れ替えて登録する", back: "戻って選び直す", done: "登録が完了しました",
    used: "この登録はもう済んでいます", cut: "リンクが途中で切れています", expired: "リンクの期限が過ぎました", forged: "このリンクは使えません",
    cookies: "Cookie（クッキー）を許可してください", missing: "ページが見つかりません", home: "メールアドレスの登録", outbox: "送信箱（デモ用）",
    logout: "ログアウト", sure: "ログアウトの確認", out: "ログアウトしました", lapsed: "操作がなかったため", empty: "IDを入力してください",
    show: "文字を見ながら入力する", unchosen: "優先順位を1つ選んでください", eye: "パスワードを表示", cancel: "キャンセル",
    ask: "ログアウトします。よろしいですか。", idle: "あと5分ほど", stay: "ログインを続ける",
  },
  en: {
    landing: "Register your email address", failed: "You could not be logged in", login: "Log in", change: "Choose a new password",
    mismatch: "The two entries differ", use: "Use this password", changed: "Your password has been changed", priority: "Choose the priority",
    register: "Register", confirm: "Please confirm", replace: "Replace and register", back: "Go back and choose again", done: "Your address is registered",
    used: "This registration is already done", cut: "The link is incomplete", expired: "The link has expired", forged: "This link cannot be used",
    cookies: "Please allow cookies", missing: "Page not found", home: "Register your email address", outbox: "Outbox (demonstration)",
    logout: "Log out", sure: "Log out?", out: "You are logged out", lapsed: "nothing happened for a while", empty: "Please enter the ID",
    show: "Show the password while typing", unchosen: "Please choose a priority", eye: "Show password", cancel: "Cancel",
    ask: "You are about to log out.", idle: "in about five minutes", stay: "Stay logged in",
  },
};

async function person(browser, walk) {
  const t = words[walk.lang];
  const link = `${plan.base}/r/${walk.token}`;
  const page = await fresh(browser, walk);

  // Scanners come first, ten times each.
  for (let time = 0; time < 10; time += 1) {
    for (const method of ["GET", "HEAD"]) {
      const answer = await page.context().request.fetch(link, { method });
      if (answer.status() !== 200) wrong.push(`${method} of a scanner: ${answer.status()}`);
    }
  }
  await page.context().clearCookies();

  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(link);
  await expectText(page, walk.address, "landing");
  if (requests.length > 2) wrong.push(`the landing page took ${requests.length} requests`);
  await inspect(page, walk, "01-landing");
  const kind = async (wanted) => (await page.locator("#password").getAttribute("type")) === wanted || wrong.push(`the password is not ${wanted}`);
  if (walk.scripts) {
    const eye = page.getByRole("button", { name: t.eye });
    if (await page.getByRole("link", { name: t.show }).isVisible()) wrong.push("the link stays beside the eye");
    for (const [pressed, type] of [["true", "text"], ["false", "password"]]) {
      await eye.click();
      await kind(type);
      if ((await eye.getAttribute("aria-pressed")) !== pressed) wrong.push(`the eye is not ${pressed}`);
    }
  } else {
    await page.getByRole("link", { name: t.show }).click();
    await expectText(page, walk.address, "landing, shown");
    await kind("text");
    await page.goto(link);
  }

  const logIn = async (password) => {
    await page.fill("#org", "demo");
    await page.fill("#id", walk.id);
    await page.fill("#password", password);
    await page.getByRole("button", { name: t.login, exact: true }).click();
  };
  await logIn("not-the-password");
  await expectText(page, t.failed, "wrong password");
  await inspect(page, walk, "02-refused");
  await logIn(walk.start);
  await expectText(page, t.change, "first login");
  await inspect(page, walk, "03-password");
  await page.fill("#new", walk.own);
  await page.fill("#again", "something-else-4");
  await page.getByRole("button", { name: t.use }).click();
  await expectText(page, t.mismatch, "mismatch");
  await inspect(page, walk, "04-mismatch");
  await page.fill("#new", walk.own);
  await page.fill("#again", walk.own);
  await page.getByRole("button", { name: t.use }).click();
  await expectText(page, t.changed, "changed");
  await inspect(page, walk, "05-priority");

  await page.evaluate(() => document.querySelectorAll("[type=radio]").forEach((radio) => Object.assign(radio, { checked: false, required: false })));
  await page.getByRole("button", { name: t.register, exact: true }).click();
  await expectText(page, t.unchosen, "unchosen");
  await inspect(page, walk, "05-unchosen");

  // Back and Reload do no harm.
  await page.goBack();
  await expectText(page, t.priority, "back");
  await page.goto(link);
  await expectText(page, t.priority, "link again");

  await page.locator("input[value='1']").check();
  await page.getByRole("button", { name: t.register, exact: true }).click();
  await expectText(page, t.confirm, "taken");
  await expectText(page, walk.taken, "taken");
  await inspect(page, walk, "06-confirm");
  await page.getByRole("link", { name: t.back }).click();
  await expectText(page, t.priority, "back from confirm");
  await page.locator("input[value='1']").check();
  await page.getByRole("button", { name: t.register, exact: true }).click();
  await page.getByRole("button", { name: t.replace }).click();
  await expectText(page, t.done, "done");
  await inspect(page, walk, "07-done");
  await page.reload();
  await expectText(page, t.done, "reload");
  await page.goto(link);
  await expectText(page, t.done, "link after done");

  if (walk.scripts) {
    await idle(page, walk);
    await page.getByRole("link", { name: t.logout }).first().click();
    await page.locator("dialog[open]").getByText(t.ask).waitFor();
    await inspect(page, walk, "08-dialog");
    await page.getByRole("button", { name: t.cancel }).click();
    await page.locator("dialog[open]").waitFor({ state: "detached" });
    await page.goto(`${plan.base}/logout?r=${walk.token}`);
    await inspect(page, walk, "08-logout");
    await page.getByRole("link", { name: t.logout }).first().click();
    await page.locator("dialog[open]").getByRole("button", { name: t.logout }).click();
  } else {
    await page.getByRole("link", { name: t.logout }).first().click();
    await expectText(page, t.sure, "logout");
    await page.getByRole("button", { name: t.logout }).click();
  }
  await expectText(page, t.out, "logged out");
  await inspect(page, walk, "09-logged-out");
  await page.goto(link);
  await expectText(page, t.used, "used");
  await inspect(page, walk, "10-used");
  await page.context().close();
}

/** Lets the time of the page go on until the end of the session is announced, and stays. */
async function idle(page, walk) {
  const t = words[walk.lang];
  await page.clock.install();
  await page.reload();
  await page.clock.fastForward(24 * 60_000);
  if (await page.getByText(t.idle).isVisible()) wrong.push("the warning comes too early");
  await page.clock.fastForward(2 * 60_000);
  await page.getByRole("alert").getByText(t.idle).waitFor();
  await inspect(page, walk, "07-idle");
  await page.getByRole("link", { name: t.stay }).click();
  await page.getByText(t.idle).waitFor({ state: "hidden" });
  await page.clock.resume();
}

async function strays(browser, walk) {
  const t = words[walk.lang];
  const page = await fresh(browser, walk);
  const places = [
    ["11-cut", `/r/${walk.free.slice(0, 40)}`, t.cut],
    ["12-expired", `/r/${walk.expired}`, t.expired],
    ["13-forged", `/r/${walk.forged}`, t.forged],
    ["14-missing", "/nowhere", t.missing],
    ["15-home", "/", t.home],
    ["16-outbox", "/outbox", t.outbox],
  ];
  for (const [name, path, text] of places) {
    await page.goto(plan.base + path);
    await expectText(page, text, name);
    await inspect(page, walk, name);
  }
  await page.goto(`${plan.base}/r/${walk.free}`);
  await page.evaluate(() => document.querySelectorAll("[required]").forEach((input) => input.removeAttribute("required")));
  await page.fill("#org", "demo");
  await page.getByRole("button", { name: t.login, exact: true }).click();
  await expectText(page, t.empty, "empty");
  await inspect(page, walk, "17-empty");
  await page.goto(`${plan.base}/r/${walk.free}`);
  await page.fill("#org", "demo");
  await page.fill("#id", walk.id);
  await page.fill("#password", "x");
  await page.context().clearCookies();
  await page.getByRole("button", { name: t.login, exact: true }).click();
  await expectText(page, t.cookies, "cookies");
  await inspect(page, walk, "18-cookies");
  await page.locator("summary").first().click();
  await inspect(page, walk, "19-help");
  // The other language, on the same page, by its link.
  const other = walk.lang === "ja" ? "en" : "ja";
  await page.locator(`.languages a[lang=${other}]`).click();
  await expectText(page, words[other].cookies, "switched");
  await page.context().close();
}

/** The whole way with the keyboard alone. */
async function keyboard(browser, walk) {
  const t = words[walk.lang];
  const page = await fresh(browser, walk);
  const { press, reach } = keys(page);
  await page.goto(`${plan.base}/r/${walk.token}`);
  for (const [selector, text] of [["#org", "DEMO"], ["#id", walk.id], ["#password", walk.start]]) {
    await reach(selector);
    await page.keyboard.type(text);
  }
  await press("Enter");
  await expectText(page, t.change, "keyboard: login");
  for (const selector of ["#new", "#again"]) {
    await reach(selector);
    await page.keyboard.type(walk.own);
  }
  await reach("main button");
  await press("Enter");
  await expectText(page, t.priority, "keyboard: password");
  await reach("input[type=radio]");
  await press("Space");
  await reach("main button");
  await press("Enter");
  await expectText(page, t.done, "keyboard: done");
  await page.context().close();
}

await walkThrough(async (browser) => {
  for (const walk of plan.walks) await person(browser, walk);
  for (const walk of plan.walks) await strays(browser, walk);
  await keyboard(browser, plan.keyboard);
});
