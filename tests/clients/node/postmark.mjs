// postmark.js as published. Reads one job as JSON from stdin, prints one answer as JSON; see ../drivers.py.

import { text } from "node:stream/consumers";
import { ServerClient } from "postmark";

const attachment = ({ name, content, content_type, content_id }) => ({
  Name: name,
  Content: content,
  ContentType: content_type,
  ContentID: content_id && `cid:${content_id}`,
});

// What is not set stays away, as in a program by hand.
const message = (letter) =>
  Object.fromEntries(
    Object.entries({
      From: letter.sender,
      To: letter.to.join(", "),
      Cc: letter.cc.join(", "),
      Bcc: letter.bcc.join(", "),
      ReplyTo: letter.reply_to,
      Subject: letter.subject,
      TextBody: letter.text,
      HtmlBody: letter.html,
      Tag: letter.tag,
      Metadata: letter.metadata,
      Headers: Object.entries(letter.headers).map(([Name, Value]) => ({ Name, Value })),
      Attachments: letter.attachments.map(attachment),
      TrackOpens: letter.track_opens,
      TrackLinks: letter.track_links,
      MessageStream: letter.stream,
    }).filter(([, value]) => value !== null && value !== "" && value?.length !== 0),
  );

const result = (answer) => ({
  accepted: answer.MessageID !== undefined,
  message_id: answer.MessageID ?? null,
  code: answer.ErrorCode ?? null,
  message: answer.Message,
});

const addresses = (given) => ({ Suppressions: given.map((EmailAddress) => ({ EmailAddress })) });

const jobs = {
  send: async (client, { letters }) => {
    const messages = letters.map(message);
    const answers =
      messages.length === 1 ? [await client.sendEmail(messages[0])] : await client.sendEmailBatch(messages);
    return answers.map(result);
  },
  template: async (client, { letters, alias }) => {
    const messages = letters.map((letter) => {
      const { Subject, TextBody, HtmlBody, ...rest } = message(letter);
      return { ...rest, TemplateAlias: alias, TemplateModel: {} };
    });
    const answers =
      messages.length === 1
        ? [await client.sendEmailWithTemplate(messages[0])]
        : await client.sendEmailBatchWithTemplates(messages);
    return answers.map(result);
  },
  search: async (client, { query }) => (await client.getOutboundMessages(query)).Messages,
  details: async (client, { message_id }) => client.getOutboundMessageDetails(message_id),
  server: async (client) => client.getServer(),
  streams: async (client) => (await client.getMessageStreams()).MessageStreams,
  stream: async (client, { stream }) => client.getMessageStream(stream),
  suppressions: async (client, { stream }) => (await client.getSuppressions(stream)).Suppressions,
  suppress: async (client, { stream, given }) =>
    (await client.createSuppressions(stream, addresses(given))).Suppressions,
  unsuppress: async (client, { stream, given }) =>
    (await client.deleteSuppressions(stream, addresses(given))).Suppressions,
};

const { url, token, job, ...rest } = JSON.parse(await text(process.stdin));
const { host, pathname, protocol } = new URL(url);
const client = new ServerClient(token, {
  requestHost: host + pathname.replace(/\/$/, ""),
  useHttps: protocol === "https:",
  timeout: 60,
});
let answer;
try {
  answer = { answer: await jobs[job](client, rest) };
} catch (error) {
  answer = {
    error: {
      kind: error.name,
      code: error.code ?? null,
      status: error.statusCode ?? null,
      message: error.message,
    },
  };
}
process.stdout.write(JSON.stringify(answer));
