// A producer with amqplib as published. Reads {"number", "client"} as JSON from stdin, publishes so many jobs with an
// attachment to the queue mail.intake of AMQP_URL, waits for all confirms and prints the ids of the mails as JSON.

import { randomBytes } from "node:crypto";
import { text } from "node:stream/consumers";
import amqp from "amqplib";

const QUEUE = "mail.intake";

// RFC 9562, section 5.7.
const uuidv7 = () => {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
};

const job = (place) => ({
  version: 1,
  id: uuidv7(),
  from: "Node Shop <shop@example.com>",
  to: [`node${place}@example.net`],
  subject: `Invoice ${place} – Größe`,
  text: "See the attachment.",
  html: "<p>See the attachment.</p>",
  attachments: [
    {
      name: `invoice-${place}.pdf`,
      content: randomBytes(20_000).toString("base64"),
      content_type: "application/pdf",
    },
  ],
});

const { number, client } = JSON.parse(await text(process.stdin));
const connection = await amqp.connect(process.env.AMQP_URL);
const channel = await connection.createConfirmChannel();
channel.on("return", () => {
  throw new Error(`there is no queue ${QUEUE}`);
});
await channel.assertQueue(QUEUE, { durable: true, arguments: { "x-queue-type": "quorum" } });
const jobs = Array.from({ length: number }, (_, place) => job(place));
for (const one of jobs) {
  channel.sendToQueue(QUEUE, Buffer.from(JSON.stringify(one)), {
    persistent: true,
    mandatory: true,
    contentType: "application/json",
    appId: client,
    messageId: one.id,
  });
}
await channel.waitForConfirms();
await connection.close();
process.stdout.write(JSON.stringify(jobs.map((one) => one.id)));
