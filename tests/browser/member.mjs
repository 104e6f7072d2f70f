// A member at a keyboard: nothing here is done with a mouse.

import { expectText, expectTitle, fresh, inspect, keys, plan, wrong } from "./look.mjs";

/** The button that sends the form of a page. */
export const submit = "main button[type=submit]";

/** A person at a keyboard. */
export class Member {
  constructor(page, walk, t, series) {
    Object.assign(this, { page, walk, t, series, ...keys(page), shots: 0 });
  }

  open(path) {
    return this.page.goto(plan.base + path);
  }

  /** Is on the page with this heading, and looks at it. */
  async isOn(title, name) {
    await expectTitle(this.page, title);
    await this.look(name);
  }

  async look(name) {
    this.shots += 1;
    await inspect(this.page, this.walk, `${this.series}${String(this.shots).padStart(2, "0")}-${name}`);
  }

  /** Is told what is wrong: there the keyboard is, too. */
  async isTold(text, name) {
    await expectText(this.page, text, name);
    const focused = this.page.locator(".banner.error:focus").waitFor({ timeout: 20_000 });
    await focused.catch(() => wrong.push(`${this.walk.lang}, ${name}: what is wrong has not the focus`));
    await this.look(name);
  }

  /** Sends a form although fields are empty, as a browser would that knows no `required`. */
  async sendEmpty() {
    await this.page.evaluate(() => document.querySelectorAll("[required]").forEach((input) => input.removeAttribute("required")));
    await this.follow(submit);
  }

  /** Leaves a page that renews itself, which may take the keyboard back to its top in the middle of it. */
  async leave(selector, title) {
    const there = this.page.getByRole("heading", { level: 1, name: title, exact: true });
    for (const start = Date.now(); Date.now() - start < 60_000; ) {
      const trouble = await this.follow(selector).then(() => null, (error) => error);
      if (await there.waitFor({ timeout: 5_000 }).then(() => true, () => false)) return;
      if (trouble && !/context was destroyed|does not reach/.test(trouble)) throw trouble;
    }
    await expectTitle(this.page, title);
  }

  async logIn(password) {
    await this.type("#org", "demo");
    await this.type("#id", this.walk.id);
    await this.type("#password", password);
    await this.press("Enter");
  }

  async choose(one, two) {
    await this.type("#new", one);
    await this.type("#again", two);
    await this.follow(submit);
  }

  /** Waits for a mail to that address, such as is looked for, among those that were captured; gives its text. */
  async letter(address, fits = () => true) {
    const desk = await fresh(this.page.context().browser(), this.walk);
    const letters = desk.locator("article", { has: desk.getByText(address, { exact: true }) }).locator(".letter");
    for (const start = Date.now(); Date.now() - start < 60_000; ) {
      await desk.goto(`${plan.base}/outbox`);
      const found = (await letters.allInnerTexts()).find(fits);
      if (found) {
        await desk.context().close();
        return found;
      }
    }
    throw new Error(`no such mail to ${address} has come`);
  }

  async isKind(kind) {
    const shown = this.page.locator(`#new[type=${kind}]`).waitFor({ timeout: 20_000 });
    await shown.catch(() => wrong.push(`${this.walk.lang}: the password is not ${kind}`));
  }
}
