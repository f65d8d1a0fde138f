//! Who may do what on a cluster: calls need its secret, nothing listens beyond the machine without one, and executors open no
//! files but those of their lakes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::time::Duration;

use arrow_flight::Ticket;
use arrow_flight::flight_service_client::FlightServiceClient;
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::executor_grpc_client::ExecutorGrpcClient;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelTasksParams, ExecuteQueryParams, GetJobStatusParams, LaunchMultiTaskParams, MultiTaskDefinition,
    RemoveJobDataParams, StopExecutorParams, TaskId, execute_query_result, job_status,
};
use ballista_core::version::insert_version_header;
use datafusion::prelude::{CsvReadOptions, SessionContext};
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use strata::engine::ClusterSecret;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::support::cluster::Cluster;
use crate::support::project::{tiny, tiny_lake};
use crate::support::world::rows;
use crate::support::{fails, ok, set_environment, strata, text};

const SECRET: &str = "the secret of this cluster";

/// Sets the secret of all commands that this test starts.
fn with_secret(secret: &str) {
    set_environment(vec![("STRATA_CLUSTER_SECRET".into(), secret.into())]);
}

fn tiny_run<'a>(project: &'a Path, lake: &'a Path, engine: &'a str) -> Vec<&'a str> {
    let on = ["--engine", engine, "--local-below", "0"];
    [&["run", "--project", text(project), "--lake", text(lake)], &on[..]].concat()
}

/// A connection that brings the proof of a secret, or nothing.
async fn channel(port: &str, secret: Option<&str>) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{port}")).unwrap();
    let endpoint = match secret {
        Some(secret) => ClusterSecret::new(secret.as_bytes()).unwrap().prove(endpoint).unwrap(),
        None => endpoint,
    };
    endpoint.connect().await.unwrap()
}

#[test]
fn a_cluster_with_a_secret_works_and_refuses_runs_without_it() {
    with_secret(SECRET);
    let cluster = Cluster::start(2);
    let (project, local, remote) = (tiny(&[]), tiny_lake(), tiny_lake());
    let engine = cluster.engine();
    let run = tiny_run(project.path(), remote.path(), &engine);
    for wrong in ["", "another secret, as long"] {
        with_secret(wrong);
        let said = fails(2, &run);
        assert!(said.contains("refuses") && said.contains("STRATA_CLUSTER_SECRET"), "{said}");
        assert!(!said.contains(wrong) || wrong.is_empty(), "{said}");
    }
    let [port, _] = crate::support::s3::free_ports();
    let (port, lake) = (port.to_string(), text(remote.path()));
    let executor = ["executor", "--scheduler", &cluster.address(), "--port", &port, "--lake", lake];
    let said = fails(2, &executor);
    assert!(said.contains("refuses") && !said.contains(SECRET), "{said}");

    with_secret("");
    let file = project.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    ok(&[&run[..], &["--secret-file", text(&file)]].concat());
    ok(&["run", "--project", text(project.path()), "--lake", text(local.path())]);
    let spent = "select customer, amount from spend order by customer";
    assert_eq!(rows(remote.path(), spent), rows(local.path(), spent));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_port_refuses_calls_without_the_secret() {
    with_secret(SECRET);
    let cluster = Cluster::start(1);
    let [row_port, task_port] = cluster.ports[0].map(|port| format!("127.0.0.1:{port}"));
    for secret in [None, Some("another secret, as long")] {
        let mut scheduler = SchedulerGrpcClient::new(channel(&cluster.address(), secret).await);
        let query = ExecuteQueryParams { query: Some(Query::PhysicalPlan(Vec::new())), ..Default::default() };
        let status = scheduler.get_job_status(GetJobStatusParams { job_id: "j".into() }).await;
        assert_eq!(status.unwrap_err().code(), Code::Unauthenticated);
        assert_eq!(scheduler.execute_query(query).await.unwrap_err().code(), Code::Unauthenticated);

        let mut tasks = ExecutorGrpcClient::new(channel(&task_port, secret).await);
        let launched = tasks.launch_multi_task(LaunchMultiTaskParams::default()).await;
        let stopped = tasks.stop_executor(StopExecutorParams::default()).await;
        let cancelled = tasks.cancel_tasks(CancelTasksParams::default()).await;
        let removed =
            tasks.remove_job_data(RemoveJobDataParams { job_id: "..".into(), ..Default::default() });
        for code in [
            launched.unwrap_err().code(),
            stopped.unwrap_err().code(),
            cancelled.unwrap_err().code(),
            removed.await.unwrap_err().code(),
        ] {
            assert_eq!(code, Code::Unauthenticated);
        }

        let mut handed_out = FlightServiceClient::new(channel(&row_port, secret).await);
        let rows = handed_out.do_get(Ticket::new(Vec::<u8>::new())).await;
        assert_eq!(rows.unwrap_err().code(), Code::Unauthenticated);
    }
    // with the secret all three answer, and no name of a job leads out of the work folder
    let mut scheduler = SchedulerGrpcClient::new(channel(&cluster.address(), Some(SECRET)).await);
    let status = scheduler.get_job_status(GetJobStatusParams { job_id: "j".into() }).await;
    assert!(status.is_ok_and(|found| found.into_inner().status.is_none()));
    let mut tasks = ExecutorGrpcClient::new(channel(&task_port, Some(SECRET)).await);
    for job in ["..", "/etc", "a/../../b", ""] {
        let removed = RemoveJobDataParams { job_id: job.into(), ..Default::default() };
        assert_eq!(tasks.remove_job_data(removed).await.unwrap_err().code(), Code::InvalidArgument, "{job}");
        let task = MultiTaskDefinition {
            job_id: job.into(),
            task_ids: vec![TaskId::default()],
            ..Default::default()
        };
        let launch = LaunchMultiTaskParams { multi_tasks: vec![task], ..Default::default() };
        let launched = tasks.launch_multi_task(launch).await.unwrap().into_inner();
        assert_eq!(launched.failed_jobs, [job]);
    }
    let mut handed_out = FlightServiceClient::new(channel(&row_port, Some(SECRET)).await);
    let rows = handed_out.do_get(Ticket::new(Vec::<u8>::new())).await;
    assert_ne!(rows.unwrap_err().code(), Code::Unauthenticated);
}

/// Submits a plan as a driver does and waits for its end: the message of its failure, if it fails.
async fn submit(cluster: &Cluster, context: &SessionContext, query: &str) -> Result<(), String> {
    let plan = context.sql(query).await.unwrap().create_physical_plan().await.unwrap();
    let mut bytes = Vec::new();
    PhysicalPlanNode::try_from_physical_plan(plan, &BallistaPhysicalExtensionCodec::default())
        .and_then(|plan| plan.try_encode(&mut bytes))
        .unwrap();
    let mut scheduler = SchedulerGrpcClient::new(channel(&cluster.address(), Some(SECRET)).await);
    let mut request = tonic::Request::new(ExecuteQueryParams {
        session_id: "doors".into(),
        operation_id: uuid::Uuid::new_v4().to_string(),
        query: Some(Query::PhysicalPlan(bytes)),
        ..Default::default()
    });
    insert_version_header(request.metadata_mut());
    let answer = scheduler.execute_query(request).await.unwrap().into_inner();
    let Some(execute_query_result::Result::Success(job)) = answer.result else {
        panic!("the scheduler took no plan: {answer:?}");
    };
    loop {
        let status = scheduler.get_job_status(GetJobStatusParams { job_id: job.job_id.clone() }).await;
        match status.unwrap().into_inner().status.and_then(|status| status.status) {
            Some(job_status::Status::Successful(_)) => return Ok(()),
            Some(job_status::Status::Failed(failed)) => return Err(failed.error),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn executors_open_no_files_but_those_of_their_lakes() {
    with_secret(SECRET);
    let (lake, other) = (tiny_lake(), tiny_lake());
    let cluster = Cluster::for_lakes(1, &[text(lake.path())]);
    let context = SessionContext::new();
    let inside = lake.path().join("raw/sales/a.csv");
    let options = CsvReadOptions::new();
    context.register_csv("inside", text(&inside), options.clone()).await.unwrap();
    context
        .register_csv("outside", text(&other.path().join("raw/sales/a.csv")), options.clone())
        .await
        .unwrap();
    let users = CsvReadOptions::new().delimiter(b':').has_header(false).file_extension("");
    context.register_csv("users", "/etc/passwd", users).await.unwrap();
    submit(&cluster, &context, "select * from inside").await.unwrap();
    for query in ["select * from users", "select * from outside"] {
        let said = submit(&cluster, &context, query).await.unwrap_err();
        assert!(said.contains("none of the lakes"), "{query}:\n{said}");
    }
    for query in [
        format!("copy (select * from inside) to '{}/stolen.csv'", text(other.path())),
        format!("copy (select * from inside) to '{}/raw/../../stolen.csv'", text(lake.path())),
    ] {
        // what DataFusion says of a writer that fails leaves out why
        assert!(submit(&cluster, &context, &query).await.is_err(), "{query}");
    }
    assert!(!other.path().join("stolen.csv").exists());
    assert!(!lake.path().parent().unwrap().join("stolen.csv").exists());
    let written = format!("copy (select * from inside) to '{}/copied.csv'", text(lake.path()));
    submit(&cluster, &context, &written).await.unwrap();
    assert!(lake.path().join("copied.csv").exists());

    // the same for a whole run
    let project = tiny(&[]);
    let engine = cluster.engine();
    let output = strata(&tiny_run(project.path(), other.path(), &engine)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("none of the lakes"), "{said}");
    ok(&tiny_run(project.path(), lake.path(), &engine));
}

#[test]
fn nothing_listens_beyond_this_machine_without_a_secret() {
    let lake = tiny_lake();
    let executor = ["executor", "--scheduler", "127.0.0.1:9", "--lake", text(lake.path())];
    for bind in ["0.0.0.0", "::", "192.0.2.1"] {
        for command in [&["scheduler"][..], &executor] {
            let said = fails(2, &[command, &["--bind", bind]].concat());
            assert!(said.contains("STRATA_CLUSTER_SECRET") && said.contains("127.0.0.1"), "{said}");
        }
    }
    with_secret("fifteen bytes !");
    let said = fails(2, &["scheduler", "--bind", "0.0.0.0"]);
    assert!(said.contains("16") && !said.contains("fifteen"), "{said}");
    let said = fails(2, &executor[..3]);
    assert!(said.contains("--lake"), "{said}");
}
