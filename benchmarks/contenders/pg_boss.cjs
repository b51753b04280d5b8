// pg-boss: batches of 500 per fetch, polled as often as it allows, woken by LISTEN.
"use strict";

const { PgBoss } = require("pg-boss");
const { main, payload, running, seen, sleep } = require("./agent.cjs");

const QUEUE = "noop";
const BATCH = 500;

main((url, { keys, limit }) => {
  let boss;
  const make = (max, more = {}) => {
    const made = new PgBoss({ connectionString: url, max, ...more });
    made.on("error", () => {});
    return made;
  };
  return {
    async install() {
      const boss = make(2);
      await boss.start();
      await boss.createQueue(QUEUE, { notify: true });
      await boss.stop({ graceful: false });
    },
    async open(connections) {
      boss = make(connections, { supervise: false, schedule: false });
      await boss.start();
    },
    async close() {
      await boss.stop({ graceful: false });
    },
    async enqueue({ sent }) {
      await boss.send(QUEUE, { sent });
    },
    async fill({ count, sent = 0, priorities = 1, size = 0, seconds = 0 }) {
      const data = { sent, body: payload(size), seconds };
      const jobs = Array.from({ length: count }, (_, n) => ({ data, priority: -(n % priorities) }));
      await boss.insert(QUEUE, jobs);
    },
    async fill_limited({ count, keys, seconds }) {
      const jobs = Array.from({ length: count }, (_, n) => {
        const key = `k${n % keys}`;
        return { data: { sent: 0, key, seconds }, group: { id: key } };
      });
      await boss.insert(QUEUE, jobs);
    },
    async schedule({ due }) {
      await boss.insert(
        QUEUE,
        due.map((at) => ({ data: { sent: at }, startAfter: new Date(at * 1000) })),
      );
    },
    async unfinished() {
      const found = await boss.getDb().executeSql(
        "SELECT EXISTS (SELECT FROM pgboss.job WHERE name = 'noop' AND state < 'completed') AS there",
      );
      return found.rows[0].there;
    },
    async work(concurrency, ready, stopped) {
      const boss = make(10, { useListenNotify: true });
      await boss.start();
      const options = {
        // Only a full batch is followed by the next at once: two workers share what may run.
        batchSize: limit ? Math.ceil((keys * limit) / 2) : Math.min(BATCH, 5 * concurrency),
        burstWhenBatchFull: true,
        pollingIntervalSeconds: 0.5,
        notifyPollingIntervalSeconds: 0.5,
        ...(limit ? { groupConcurrency: limit } : {}),
      };
      await boss.work(QUEUE, options, async (jobs) => {
        let longest = 0;
        const noted = [];
        for (const { data } of jobs) {
          seen(data.sent);
          if (data.key) noted.push(running(data.key, () => sleep(data.seconds)));
          else longest = Math.max(longest, data.seconds ?? 0);
        }
        if (longest) await sleep(longest);
        if (noted.length) await Promise.all(noted);
      });
      ready();
      await stopped;
      await boss.stop({ graceful: false });
    },
  };
});
