// A certified OP on loopback for one client: node provider.mjs PORT SITE_URL CLIENT_ID CLIENT_SECRET
import Provider from "oidc-provider";

const [port, siteUrl, clientId, clientSecret] = process.argv.slice(2);
const issuer = `http://localhost:${port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: clientId,
      client_secret: clientSecret,
      redirect_uris: [`${siteUrl}/oidc/callback/`],
      post_logout_redirect_uris: [`${siteUrl}/`],
      backchannel_logout_uri: `${siteUrl}/oidc/backchannel-logout/`,
      backchannel_logout_session_required: true,
      response_types: ["code"],
      grant_types: ["authorization_code"],
    },
  ],
  features: { backchannelLogout: { enabled: true } },
  // Its own fetch refuses addresses that are not public, such as this machine's.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  claims: {
    openid: ["sub"],
    email: ["email", "email_verified"],
    profile: ["given_name", "family_name", "preferred_username", "groups"],
  },
  findAccount: (context, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      email: `${id}@example.org`,
      email_verified: true,
      given_name: "Nora",
      preferred_username: id,
      groups: id === "ada" ? ["administrators"] : [],
    }),
  }),
});

provider.on("backchannel.error", (context, error) => console.error(`back-channel logout failed: ${error}`));
provider.listen(Number(port), "localhost", () => console.log(`ready ${issuer}`));
