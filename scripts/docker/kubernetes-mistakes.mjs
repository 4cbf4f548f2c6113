import { isKnownVariable, METRICS, MOST_CONNECTIONS, PATHS, VARIABLES } from './read-docker.mjs';

/** Names, paths, ports and times of the manifests that do not fit each other, the server or its image. */
export function mistakesInKubernetes(docker) {
  const { objects, manifests, kustomization, adapter, dockerfile } = docker;
  const ofKind = (kind) => objects.filter((object) => object.kind === kind);
  const named = (kind, name) => ofKind(kind).find(({ metadata }) => metadata.name === name);
  const deployments = ofKind('Deployment');
  const context = { named, kustomization, dockerfile };

  const listed = new Set(kustomization.resources);
  const files = new Set(objects.map(({ file }) => file));
  const adapted = new Set(
    adapter.rules.external.map(({ seriesQuery }) => /__name__="(\w+)"/.exec(seriesQuery)?.[1] ?? seriesQuery),
  );
  return [
    ...[...listed].filter((file) => !manifests.includes(file)).map((file) => `kustomization.yaml: there is no ${file}`),
    ...[...files].filter((file) => !listed.has(file)).map((file) => `kustomization.yaml: does not list ${file}`),
    ...[...adapted].filter((name) => !METRICS.has(name)).map((name) => `prometheus-adapter.yaml: no metric ${name}`),
    ...ofKind('Secret').map(({ file }) => `${file}: secrets do not belong into files`),
    ...ofKind('ConfigMap').flatMap((map) => mistakesInVariables(map, Object.keys(map.data))),
    ...deployments.flatMap((deployment) => mistakesInDeployment(deployment, context)),
    ...ofKind('HorizontalPodAutoscaler').flatMap((scaler) => mistakesInScaler(scaler, context, adapted)),
    ...ofKind('PodDisruptionBudget').flatMap((budget) =>
      mistakesInSelector(budget, budget.spec.selector.matchLabels, deployments),
    ),
    ...ofKind('Service').flatMap((service) => mistakesInService(service, deployments)),
    ...ofKind('Ingress').flatMap((ingress) => mistakesInIngress(ingress, context)),
    ...mistakesInSum(deployments, ofKind('HorizontalPodAutoscaler'), context),
  ];
}

const about = ({ file, kind, metadata }, mistakes) =>
  mistakes.map((mistake) => `${file}, ${kind} ${metadata.name}: ${mistake}`);

const mistakesInVariables = (object, names) =>
  about(
    object,
    names.filter((name) => !isKnownVariable(name)).map((name) => `${name} is not in .env.example`),
  );

function variablesOf({ env = [], envFrom = [] }, { named }) {
  const maps = envFrom.map(({ configMapRef }) => named('ConfigMap', configMapRef?.name)?.data ?? {});
  return Object.assign({}, ...maps, Object.fromEntries(env.map(({ name, value }) => [name, value])));
}

const valueOf = (variables, name) => variables[name] ?? VARIABLES.get(name);

function mistakesInDeployment(deployment, context) {
  const { selector, template } = deployment.spec;
  const pod = template.spec;
  return [
    ...mistakesInSelector(deployment, selector.matchLabels, [deployment]),
    ...about(deployment, [
      ...(pod.enableServiceLinks === false ? [] : ['variables of other services come into the environment']),
      ...(pod.securityContext?.runAsNonRoot ? [] : ['may run as root']),
    ]),
    ...pod.containers.flatMap((container) => [
      ...mistakesInVariables(
        deployment,
        (container.env ?? []).map(({ name }) => name),
      ),
      ...about(deployment, [...mistakesInContainer(container, pod, template, context)]),
    ]),
  ];
}

function* mistakesInContainer(container, pod, template, context) {
  const variables = variablesOf(container, context);
  const isWorker = variables.ROLE === 'worker';
  const port = Number(valueOf(variables, isWorker ? 'METRICS_PORT' : 'PORT'));
  const ports = container.ports ?? [];

  for (const { configMapRef } of container.envFrom ?? []) {
    if (configMapRef && !context.named('ConfigMap', configMapRef.name))
      yield `there is no ConfigMap ${configMapRef.name}`;
  }
  for (const { name, value } of container.env ?? []) {
    if (name.endsWith('_URL') && value !== undefined) yield `${name} holds a password: take it from a Secret`;
  }
  if (!context.kustomization.images.some(({ name }) => name === container.image.split(':')[0])) {
    yield `the image ${container.image} is none of kustomization.yaml`;
  }
  if (!['api', 'worker'].includes(variables.ROLE)) yield `the ROLE ${variables.ROLE} needs the embedded database`;
  if (!ports.some(({ containerPort }) => containerPort === port))
    yield `it listens on ${port}, which is none of its ports`;
  if (!isWorker && !new RegExp(`^EXPOSE ${port}$`, 'm').test(context.dockerfile))
    yield `the image does not expose ${port}`;
  if (template.metadata.annotations?.['prometheus.io/port'] !== String(port)) yield `its metrics are at ${port}`;

  for (const probe of ['startupProbe', 'livenessProbe', ...(isWorker ? [] : ['readinessProbe'])]) {
    const { path, port: asked } = container[probe]?.httpGet ?? {};
    if (!path) {
      yield `there is no ${probe}`;
      continue;
    }
    // A worker has nothing but its metrics.
    if (!PATHS.has(path) || (isWorker && path !== '/metrics')) yield `${probe} asks for ${path}, which does not exist`;
    if (!ports.some(({ name, containerPort }) => asked === name || asked === containerPort)) {
      yield `${probe} asks at the port ${asked}, which is none of its ports`;
    }
    if ((probe === 'readinessProbe') !== (path === '/health/ready')) yield `${probe} should not ask for ${path}`;
  }

  const grace = Number(valueOf(variables, 'SHUTDOWN_GRACE_SECONDS'));
  const shutdown = Number(valueOf(variables, 'SHUTDOWN_TIMEOUT_SECONDS'));
  const { periodSeconds = 10, failureThreshold = 3 } = container.readinessProbe ?? {};
  if (!isWorker && grace <= periodSeconds * failureThreshold) yield 'SHUTDOWN_GRACE_SECONDS is over before others know';
  if (!(pod.terminationGracePeriodSeconds > grace + shutdown)) {
    yield `terminationGracePeriodSeconds is not more than a stop takes (${grace} + ${shutdown})`;
  }

  const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = container.securityContext ?? {};
  if (allowPrivilegeEscalation !== false || !capabilities?.drop?.includes('ALL')) yield 'it may gain privileges';
  if (!readOnlyRootFilesystem) yield 'it may write into its image';
  for (const { name } of container.volumeMounts ?? []) {
    if (!pod.volumes?.some((volume) => volume.name === name)) yield `there is no volume ${name}`;
  }
}

/** Whether it speaks of the pods of a deployment. */
function mistakesInSelector(object, selector, deployments) {
  const isOf = ({ spec }) =>
    Object.entries(selector).every(([name, value]) => spec.template.metadata.labels[name] === value);
  return deployments.some(isOf) ? [] : about(object, ['its selector is of no pods']);
}

function mistakesInService(service, deployments) {
  const known = deployments
    .filter(({ spec }) =>
      Object.entries(service.spec.selector).every(([name, value]) => spec.template.metadata.labels[name] === value),
    )
    .flatMap(({ spec }) => spec.template.spec.containers)
    .flatMap(({ ports = [] }) => ports.flatMap(({ name, containerPort }) => [name, containerPort]));
  return [
    ...mistakesInSelector(service, service.spec.selector, deployments),
    ...about(
      service,
      service.spec.ports
        .filter(({ port, targetPort = port }) => !known.includes(targetPort))
        .map(({ port, targetPort = port }) => `the pods have no port ${targetPort}`),
    ),
  ];
}

function mistakesInIngress(ingress, { named }) {
  const backends = ingress.spec.rules.flatMap(({ http }) => http.paths.map(({ backend }) => backend.service));
  const hasCookie = Object.keys(ingress.metadata.annotations ?? {}).some((name) => /cookie|affinity/.test(name));
  return about(ingress, [
    ...backends
      .filter(({ name, port }) => {
        const ports = named('Service', name)?.spec.ports ?? [];
        return !ports.some((one) => one.name === port.name || one.port === port.number);
      })
      .map(({ name, port }) => `there is no service ${name} with the port ${port.name ?? port.number}`),
    ...(hasCookie ? [] : ['polling has no way back to its pod']),
  ]);
}

function mistakesInScaler(scaler, { named }, adapted) {
  const { scaleTargetRef, metrics, minReplicas } = scaler.spec;
  const target = named(scaleTargetRef.kind, scaleTargetRef.name);
  const names = metrics.filter(({ type }) => type === 'External').map(({ external }) => external.metric.name);
  return about(scaler, [
    ...(target ? [] : [`there is no ${scaleTargetRef.kind} ${scaleTargetRef.name}`]),
    ...(target?.spec.replicas === undefined ? [] : ['the deployment sets replicas as well: each apply would undo it']),
    ...(minReplicas >= 2 ? [] : ['one pod alone cannot be replaced without an interruption']),
    ...names.filter((name) => !METRICS.has(name)).map((name) => `${name} is not in docs/operations.md`),
    ...names.filter((name) => !adapted.has(name)).map((name) => `${name} is not in prometheus-adapter.yaml`),
  ]);
}

/** All pods at their most, with those that a rolling update adds. */
function mistakesInSum(deployments, scalers, context) {
  const sum = deployments.reduce((total, { metadata, spec }) => {
    const scaler = scalers.find((one) => one.spec.scaleTargetRef.name === metadata.name);
    const pods = (scaler?.spec.maxReplicas ?? spec.replicas ?? 1) + Number(spec.strategy?.rollingUpdate?.maxSurge ?? 1);
    const variables = variablesOf(spec.template.spec.containers[0], context);
    return total + pods * Number(valueOf(variables, 'DATABASE_POOL_SIZE'));
  }, 0);
  return sum > MOST_CONNECTIONS
    ? [`kubernetes: all pools together are ${sum}, more than the ${MOST_CONNECTIONS} connections of PostgreSQL`]
    : [];
}
