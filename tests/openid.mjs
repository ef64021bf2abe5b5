// An OpenID Connect provider on loopback, for test_openid.py: node openid.mjs, with what it needs in OPENID as JSON:
// {"port": …, "clients": […], "people": {"<subject>": {claims}}}. Its own pages ask who signs in; any password fits.
import Provider from "oidc-provider";

const { port, clients, people } = JSON.parse(process.env.OPENID);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients,
  claims: { email: ["email", "email_verified"] },
  findAccount: (_context, subject) => ({ accountId: subject, claims: () => ({ sub: subject, ...people[subject] }) }),
  features: { rpInitiatedLogout: { enabled: true } },
});
provider.listen(port, "127.0.0.1");
