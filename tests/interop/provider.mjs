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
      response_types: ["code"],
      grant_types: ["authorization_code"],
    },
  ],
  claims: {
    openid: ["sub"],
    email: ["email", "email_verified"],
    profile: ["given_name", "family_name", "preferred_username"],
  },
  findAccount: (context, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      email: `${id}@example.org`,
      email_verified: true,
      given_name: "Nora",
      preferred_username: id,
    }),
  }),
});

provider.listen(Number(port), "localhost", () => console.log(`ready ${issuer}`));
