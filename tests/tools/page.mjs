// Drives the emulator's page in Chromium. page.sh runs it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [tool, pictures] = process.argv.slice(2);
const refresh = process.env.P21AUTH_REFRESH === "1";
const MOST = 200 * 1024;

function start(...args) {
  const child = spawn(tool, ["mock", "--json", "--until-stdin-ends", ...args], { stdio: ["pipe", "pipe", "inherit"] });
  return new Promise(done => child.stdout.once("data", line => done({ child, ...JSON.parse(line) })));
}

const folder = mkdtempSync(join(tmpdir(), "p21-page-"));
const browser = await chromium.launchPersistentContext(folder, {
  executablePath: "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
  locale: "en-US",
  viewport: { width: 1200, height: 860 },
});
const mock = await start();
const api = (path, options = {}) => fetch(mock.base_url + path, { headers: { Accept: "application/json" }, ...options });
const login = (password = "demo-password") => api("/api/security/token/v2", {
  method: "POST", body: JSON.stringify({ username: "demo", password }),
  headers: { Accept: "application/json", "Content-Type": "application/json" },
});
const call = (path, token) => api(path, { headers: { Accept: "application/json", Authorization: "Bearer " + token } });
const read = async name => (await api("/_control/" + name)).json();
const counters = () => read("counters");
let checks = 0;
const problems = [];

async function open(url, width, scheme) {
  const page = await browser.newPage();
  await page.emulateMedia({ colorScheme: scheme });
  await page.setViewportSize({ width, height: 860 });
  page.on("pageerror", error => problems.push(String(error)));
  page.on("console", message => message.type() === "error" && problems.push(message.text()));
  page.on("request", request => new URL(request.url()).host !== new URL(url).host && !request.url().startsWith("data:")
    && problems.push("the page asked for " + request.url()));
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById("state").textContent === "live");
  return page;
}

// Presses a button and waits for the words that the page then says.
async function press(page, selector, words) {
  await page.evaluate(() => { document.getElementById("said").textContent = ""; });
  await page.click(selector);
  await page.waitForFunction(words => document.getElementById("said").textContent.includes(words), words);
  pressed.add(selector);
  checks += 1;
}
const pressed = new Set();

try {
  const page = await open(mock.control_url, 1200, "light");
  // A herd within one second, then the same program with the library.
  await new Promise(done => setTimeout(done, 1000 - Date.now() % 1000));
  const herd = await Promise.all(Array.from({ length: 50 }, () => login()));
  const old = (await herd[0].json()).AccessToken;
  await page.waitForFunction(() => [...document.querySelectorAll("#chart .count")].some(t => Number(t.textContent) >= 20));
  await press(page, "#revoke-all", "Revoked 50 tokens");
  assert.equal((await call("/odataservice/odata/table/customer", old)).status, 401);
  await new Promise(done => setTimeout(done, refresh ? 9000 : 2000));
  const token = (await (await login()).json()).AccessToken;
  const key = { ClientSecret: "00000000-0000-4000-8000-000000000002", GrantType: "client_credentials" };
  await api("/api/security/token/v2", { method: "POST", body: JSON.stringify(key), headers: { Accept: "application/json" } });
  for (const path of ["table/customer?$top=5&$filter=startswith(customer_name,'A')", "table/price_page?$count=true", "view/p21_view_oe_hdr"]) {
    assert.equal((await call("/odataservice/odata/" + path, token)).status, 200);
  }
  await call("/api/sales/orders/1013901?extendedproperties=Lines", token);
  await page.waitForFunction(() => document.querySelectorAll("#calls tr").length >= 6);
  await page.waitForTimeout(300);
  if (refresh) {
    await page.evaluate(() => { document.getElementById("said").textContent = ""; window.scrollTo(0, 0); });
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme });
      const file = join(pictures, scheme === "light" ? "emulator.png" : "emulator-dark.png");
      await page.screenshot({ path: file, clip: { x: 0, y: 0, width: 1200, height: 860 } });
      assert.ok(statSync(file).size < MOST, file + " is too large");
    }
    await page.emulateMedia({ colorScheme: "light" });
  }

  const first = await page.getAttribute("#tokens [data-revoke]", "data-revoke");
  await press(page, `[data-revoke="${first}"]`, "Revoked 1 token.");
  await press(page, "#hold", "wait until released");
  const waiting = [login(), login(), login()];
  await page.waitForFunction(() => [...document.querySelectorAll("#figures dd")].pop().textContent === "3");
  await press(page, "#release-one", "One may go on");
  await Promise.race(waiting);
  await press(page, "#release", "All go on");
  await Promise.all(waiting);
  await page.fill("#throttle-max", "0");
  await press(page, "#throttle-set", "At most 0 token requests");
  assert.equal((await login()).status, 429);
  await press(page, "#throttle-off", "No limit");
  assert.equal((await login()).status, 200);
  const offset = async () => (await read("config")).clock_offset_s;
  for (const [seconds, words] of [["60", "1 min"], ["3600", "1 h"], ["86400", "1 d"]]) {
    await press(page, `[data-advance="${seconds}"]`, words);
  }
  assert.equal(await offset(), 60 + 3600 + 86400);
  await press(page, "#time-back", "right");
  await page.fill("#seconds", "-120");
  await press(page, "#time-move", "2 min behind");
  assert.equal(await offset(), -120);
  await press(page, "#time-back", "right");
  const actions = await page.locator("#fault-action option").count();
  for (let action = 0; action < actions; action += 1) {
    await page.selectOption("#fault-action", String(action));
    await press(page, "#fault-queue", (action + 1) + " fault");
  }
  await page.waitForFunction(n => document.querySelectorAll("#faults li").length === n, actions);
  await press(page, "#fault-clear", "No fault waits");
  await page.selectOption("#fault-action", "0");
  await press(page, "#fault-queue", "1 fault");
  assert.equal((await login()).status, 503);
  await page.selectOption("#user", "demo");
  await page.fill("#new-password", "changed");
  await press(page, "#password-set", "The password of demo is changed");
  assert.equal((await login()).status, 401);
  assert.equal((await login("changed")).status, 200);
  await press(page, "#reset-counters", "Counters are 0");
  assert.equal((await counters())["token.requests"], 0);
  await press(page, "#reset-all", "As at the start");
  assert.equal((await login()).status, 200);
  const buttons = await page.$$eval("main button", all => all.filter(b => b.offsetParent && !b.dataset.revoke)
    .map(b => b.id ? "#" + b.id : `[data-advance="${b.dataset.advance}"]`));
  const missed = buttons.filter(button => !pressed.has(button));
  assert.deepEqual(missed, [], "buttons that were not pressed");

  // By keyboard: every control is reached by Tab, in a visible way, and Enter works.
  await page.focus("#revoke-all");
  const reached = new Set();
  for (let n = 0; n < 60; n += 1) {
    reached.add(await page.evaluate(() => document.activeElement.id));
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    if (n > 0 && n < 10) assert.notEqual(outline, "none");
    await page.keyboard.press("Tab");
  }
  for (const id of ["hold", "throttle-max", "time-move", "fault-action", "new-password", "reset-all"]) assert.ok(reached.has(id), id);
  await page.focus("#hold");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("hold").disabled);
  await page.focus("#release");
  await page.keyboard.press("Space");
  await page.waitForFunction(() => !document.getElementById("hold").disabled);
  checks += 2;
  // A token's button keeps the focus while the list is made again.
  await login();
  await page.waitForSelector("#tokens [data-revoke]");
  await page.focus("#tokens [data-revoke]");
  await page.waitForTimeout(1500);
  assert.ok(await page.evaluate(() => document.activeElement.dataset.revoke));
  await page.close();

  // Light and dark, wide and narrow: nothing sticks out, and text stands out from its ground.
  for (const scheme of ["light", "dark"]) {
    for (const width of [360, 768, 1200]) {
      const view = await open(mock.control_url, width, scheme);
      const out = await view.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(out <= 0, `${width} px: ${out} px stick out`);
      const poor = await view.evaluate(() => {
        const light = color => {
          const [r, g, b] = color.match(/\d+(\.\d+)?/g).map(Number).map(c => {
            const s = c / 255;
            return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
          });
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = element => {
          for (let e = element; e; e = e.parentElement) {
            const color = getComputedStyle(e).backgroundColor;
            if (!color.startsWith("rgba(0, 0, 0, 0")) return color;
          }
          return getComputedStyle(document.body).backgroundColor;
        };
        return [...document.querySelectorAll("h1,h2,dt,dd,p,th,td,td span,button,label,legend,code,#state")].filter(e => e.offsetParent
          && e.textContent.trim() && !e.disabled).filter(e => {
          const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
          return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
        }).map(e => e.tagName + " " + e.textContent.slice(0, 30));
      });
      assert.deepEqual(poor, [], `${scheme} ${width}`);
      if (refresh && width === 360 && scheme === "light") {
        const file = join(pictures, "emulator-narrow.png");
        await view.screenshot({ path: file });
        assert.ok(statSync(file).size < MOST);
      }
      checks += 2;
      await view.close();
    }
  }

  // With TLS on the plain port, and beyond loopback with the token behind the #.
  for (const args of [["--tls", "--ca-file", join(folder, "ca.pem")], ["--control-token", "page-test"]]) {
    const other = await start(...args);
    const locked = args.includes("--control-token");
    const view = await open(other.control_url + (locked ? "#token=page-test" : ""), 800, "light");
    assert.ok(!view.url().includes("page-test"), "the token leaves the address");
    await view.click("#hold");
    await view.waitForFunction(() => document.getElementById("hold").disabled);
    checks += 1;
    await view.close();
    other.child.stdin.end();
  }
  const guarded = await start("--control-token", "typed");
  const view = await browser.newPage();
  await view.goto(guarded.control_url);
  await view.waitForSelector("#login:not([hidden])");
  await view.fill("#control-token", "typed");
  await view.click("#login button");
  await view.waitForFunction(() => document.getElementById("state").textContent === "live");
  guarded.child.stdin.end();
  assert.deepEqual(problems, []);
  console.log(`== seen: ${pressed.size} buttons pressed, ${checks} checks in Chromium, light and dark, 360 to 1200 px`);
} finally {
  await browser.close();
  mock.child.stdin.end();
  rmSync(folder, { recursive: true, force: true });
}
