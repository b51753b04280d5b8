// BullMQ: a worker with a concurrency of a hundred, finished jobs removed.
"use strict";

const { Queue, Worker } = require("bullmq");
const { main, payload, seen, sleep } = require("./agent.cjs");

const NAME = "noop";
const REMOVE = { removeOnComplete: true, removeOnFail: true };
const CHUNK = 5_000;

main((url) => {
  const { hostname, port } = new URL(url);
  const connection = { host: hostname, port: Number(port) };
  let queues;
  let turn = 0;
  return {
    async install() {},
    async open(connections) {
      queues = Array.from({ length: connections }, () => new Queue(NAME, { connection }));
      await Promise.all(queues.map((queue) => queue.waitUntilReady()));
    },
    async close() {
      await Promise.all(queues.map((queue) => queue.close()));
    },
    async enqueue({ sent }) {
      turn = (turn + 1) % queues.length;
      await queues[turn].add("noop", { sent }, REMOVE);
    },
    async fill({ count, sent = 0, priorities = 1, size = 0, seconds = 0 }) {
      const data = { sent, body: payload(size), seconds };
      for (let start = 0; start < count; start += CHUNK) {
        const jobs = Array.from({ length: Math.min(CHUNK, count - start) }, (_, n) => ({
          name: "noop",
          data,
          opts: priorities > 1 ? { ...REMOVE, priority: 1 + (n % priorities) } : REMOVE,
        }));
        await queues[0].addBulk(jobs);
      }
    },
    async schedule({ due }) {
      const jobs = due.map((at) => ({
        name: "noop",
        data: { sent: at },
        opts: { ...REMOVE, delay: Math.max(0, Math.round(at * 1000 - Date.now())) },
      }));
      await queues[0].addBulk(jobs);
    },
    async unfinished() {
      const counts = await queues[0].getJobCounts("wait", "active", "delayed", "prioritized");
      return Object.values(counts).some((number) => number > 0);
    },
    async work(concurrency, ready, stopped) {
      const run = async ({ data }) => {
        seen(data.sent);
        if (data.seconds) await sleep(data.seconds);
      };
      const worker = new Worker(NAME, run, { connection, concurrency });
      worker.on("error", () => {});
      await worker.waitUntilReady();
      ready();
      await stopped;
      await worker.close(true);
    },
  };
});
