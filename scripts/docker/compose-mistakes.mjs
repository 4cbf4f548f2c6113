import { isKnownVariable, MOST_CONNECTIONS, PATHS, secondsOf, VARIABLES } from './read-docker.mjs';

/** Compose accepts a mapping, a list of NAME=value and a list of names. */
const mapOf = (section = {}) =>
  Array.isArray(section)
    ? Object.fromEntries(section.map((entry) => [entry.split('=', 1)[0], entry.slice(entry.indexOf('=') + 1)]))
    : section;
const valueOf = ({ environment }, name) => String(mapOf(environment)[name] ?? VARIABLES.get(name));

export function mistakesInCompose({ compose: { services, volumes = {} }, dockerfile, has }) {
  const ours = Object.entries(services).filter(([, service]) => service.build);
  const needed = ours.reduce((sum, [, service]) => sum + Number(valueOf(service, 'DATABASE_POOL_SIZE')), 0);
  return [
    ...Object.entries(services).flatMap(([name, service]) =>
      [
        ...mistakesInNames(service, { services, volumes, has }),
        ...(service.build ? mistakesInNode(service, dockerfile, has) : []),
      ].map((mistake) => `compose.yaml, ${name}: ${mistake}`),
    ),
    ...(needed > MOST_CONNECTIONS
      ? [`compose.yaml: all pools together are ${needed}, more than the ${MOST_CONNECTIONS} connections of PostgreSQL`]
      : []),
  ];
}

function mistakesInNames(service, { services, volumes, has }) {
  const sources = (service.volumes ?? []).map((volume) => volume.split(':')[0]);
  const test = [service.healthcheck?.test ?? []].flat().join(' ');
  const secrets = Object.entries(mapOf(service.environment)).filter(([, value]) =>
    /(PASSWORD|SECRET_KEY):-/.test(String(value)),
  );
  return [
    ...Object.keys(mapOf(service.depends_on)).flatMap((other) => mistakesInDependency(other, service, services)),
    ...sources.filter((name) => /^\w/.test(name) && !(name in volumes)).map((name) => `there is no volume ${name}`),
    ...sources.filter((name) => name.startsWith('./') && !has(name)).map((name) => `there is no file ${name}`),
    ...[...test.matchAll(/127\.0\.0\.1:\d+(\/[\w/-]*)/g)]
      .filter(([, path]) => !PATHS.has(path))
      .map(([, path]) => `its health check asks for ${path}, which does not exist`),
    ...secrets.map(([name]) => `${name} has a secret of its own, which somebody will keep`),
  ];
}

function mistakesInNode(service, dockerfile, has) {
  const variables = Object.keys(mapOf(service.environment));
  const [grace, shutdown] = [graceOf(service), Number(valueOf(service, 'SHUTDOWN_TIMEOUT_SECONDS'))];
  const isWorker = valueOf(service, 'ROLE') === 'worker';
  const test = [service.healthcheck?.test ?? []].flat().join(' ');
  return [
    ...variables.filter((name) => !isKnownVariable(name)).map((name) => `${name} is not in .env.example`),
    ...(has(service.build.dockerfile.replace('docker/', '')) ? [] : [`${service.build.dockerfile} does not exist`]),
    ...(secondsOf(service.stop_grace_period) > grace + shutdown
      ? []
      : [`stop_grace_period is not more than a stop takes (${grace} + ${shutdown})`]),
    ...(isWorker && !test.includes(`127.0.0.1:${valueOf(service, 'METRICS_PORT')}/`)
      ? ['a worker is asked at METRICS_PORT whether it is well']
      : []),
    ...(isWorker || new RegExp(`^EXPOSE ${portOf(service, dockerfile)}$`, 'm').test(dockerfile)
      ? []
      : ['its PORT is not the one that the image exposes']),
  ];
}

const graceOf = (service) => Number(valueOf(service, 'SHUTDOWN_GRACE_SECONDS'));

const portOf = (service, dockerfile) =>
  mapOf(service.environment).PORT ?? /^ENV .*\bPORT=(\d+)/m.exec(dockerfile)?.[1] ?? VARIABLES.get('PORT');

function mistakesInDependency(other, service, services) {
  if (!services[other]) return [`there is no service ${other}`];
  const waitsForHealth = service.depends_on[other]?.condition === 'service_healthy';
  // The image of a service that we build has a health check of its own.
  const hasCheck = services[other].healthcheck ? !services[other].healthcheck.disable : Boolean(services[other].build);
  return waitsForHealth && !hasCheck ? [`waits for the health of ${other}, which has no health check`] : [];
}

const LONGEST_POLL_SECONDS = 30;
const PING_SECONDS = 20;

/** The load balancer and the services that it leads to. */
export function mistakesInBalancer({ balancer, compose: { services }, dockerfile }) {
  const nodes = Object.keys(services).filter(
    (name) => valueOf(services[name], 'ROLE') === 'api' && services[name].build,
  );
  const backends = balancer.split(/^backend /m).slice(1);
  const timeout = (name) => secondsOf(new RegExp(`^ +timeout ${name} (\\S+)$`, 'm').exec(balancer)?.[1] ?? '0s');
  const checked = /^ +option httpchk GET (\S+)$/m.exec(balancer)?.[1];
  const bound = /^ +bind :(\d+)$/m.exec(balancer)?.[1];
  const [, every, fall] = /^ +default-server .*\binter (\S+) fall (\d+)/m.exec(balancer) ?? [];
  const notices = secondsOf(every) * Number(fall);
  const published = (services.balancer?.ports ?? []).map((port) => port.split(':').at(-1));
  const files = Number(services.balancer?.ulimits?.nofile ?? 0);
  const most = Number(/^ +maxconn (\d+)$/m.exec(balancer)?.[1]);
  return [
    ...(backends.length === 0 ? ['it leads nowhere'] : []),
    ...backends.flatMap((backend) => {
      const name = backend.split('\n', 1)[0];
      const servers = [...backend.matchAll(/^ +server (\S+) (\S+?):(\d+)(.*)$/gm)];
      const hosts = servers.map(([, , host]) => host);
      return [
        ...(hosts.length === nodes.length && nodes.every((name) => hosts.includes(name))
          ? []
          : [`backend ${name} leads to ${hosts.join(', ')}, but the api nodes are ${nodes.join(', ')}`]),
        ...servers
          .filter(([, , host, port]) => services[host] && port !== String(portOf(services[host], dockerfile)))
          .map(([, , host, port]) => `backend ${name}: ${host} does not listen on ${port}`),
        ...(/^ +cookie /m.test(backend) && servers.some(([, , , , options]) => !/ cookie \S+/.test(options))
          ? [`backend ${name} has a server without a cookie`]
          : []),
      ];
    }),
    ...(backends.some((backend) => /^ +cookie .*insert/m.test(backend)) ? [] : ['polling has no way back to its node']),
    ...(checked === '/health/ready' ? [] : [`nodes are asked at ${checked} whether they are ready`]),
    ...nodes
      .filter((name) => !(graceOf(services[name]) > notices))
      .map((name) => `that ${name} stops is noticed after ${notices} s, when SHUTDOWN_GRACE_SECONDS are over`),
    ...['client', 'server']
      .filter((name) => timeout(name) <= LONGEST_POLL_SECONDS)
      .map((name) => `timeout ${name} cuts long polls off`),
    ...(timeout('tunnel') > PING_SECONDS ? [] : ['timeout tunnel cuts WebSockets off']),
    ...(published.includes(bound) ? [] : [`it listens on ${bound}, but ${published.join(', ')} is published`]),
    ...(files > 2 * most ? [] : [`it takes ${most} connections, but may have ${files} files`]),
  ].map((mistake) => `haproxy.cfg: ${mistake}`);
}
