//! The effect of each answer of a webhook on the events.

use super::*;

#[test]
fn a_refused_event_is_dropped_alone_a_gone_target_stops_its_sink_and_wrong_settings_drop_nothing() {
    let name = "sinks::answers::a_refused_event_is_dropped_alone_a_gone_target_stops_its_sink_and_wrong_settings_drop_nothing";
    if skip_unless(name, memory_cgroups()) {
        return;
    }
    let cgroup = TestCgroup::new().unwrap();
    let receiver = |mood| {
        let receiver = Receiver::start(free_address().unwrap()).unwrap();
        receiver.set_mood(mood);
        receiver
    };
    let (picky, gone, moved) =
        (receiver(Mood::RefusingPoison), receiver(Mood::Answering(410)), receiver(Mood::Answering(404)));
    let table = |name: &str, receiver: &Receiver| {
        format!(
            "[[sink]]\nkind = \"webhook\"\nname = \"{name}\"\nurl = \"http://{}/\"\nlongest_pause = \"100ms\"\n\
             types = [\"cgroup_created\"]\ncgroup = \"{}\"\n",
            receiver.address,
            cgroup.path()
        )
    };
    let node = Node::start(&[table("picky", &picky), table("gone", &gone), table("moved", &moved)].concat());
    let dir = cgroup.memory_dir().unwrap();
    load::burst(dir, 5).unwrap();
    let poison = dir.join("poison");
    std::fs::create_dir(&poison).unwrap();
    std::fs::remove_dir(&poison).unwrap();
    load::burst(dir, 5).unwrap();
    wait_for("the events that are not refused", QUIET, || node.sink("picky")["sent"] == 10);
    let all = wanted(&node, &format!("&types=cgroup_created&cgroup={}", cgroup.path()));
    let is_poison = |event: &Value| event["cgroup"]["path"].as_str().unwrap().ends_with("/poison");
    let sound: Vec<Value> = all.iter().filter(|event| !is_poison(event)).cloned().collect();
    assert_eq!((all.len(), sound.len()), (11, 10));
    assert_eq!(events_of(&picky.posted()), sound, "once and in order");
    let sink = node.sink("picky");
    assert_eq!((&sink["state"], &sink["refused"], &sink["dropped"]), (&"ok".into(), &1.into(), &0.into()));
    let metrics = node.agent().metrics().unwrap();
    let labels = [("sink", "picky"), ("outcome", "refused")];
    assert_eq!(metrics.one("cgtap_sink_events_total", &labels).unwrap(), Some(1.0));
    wait_for("the stop", QUIET, || node.sink("gone")["state"] == "stopped");
    assert!(node.sink("gone")["why"].as_str().unwrap().contains("410"));
    wait_for("a few tries", QUIET, || moved.requests() >= 3);
    let sink = node.sink("moved");
    assert_eq!((&sink["state"], &sink["sent"], &sink["refused"]), (&"failing".into(), &0.into(), &0.into()));
    moved.set_mood(Mood::Content);
    wait_for("all events", QUIET, || node.sink("moved")["sent"] == 11);
    assert_eq!(events_of(&moved.posted()), all);
    assert_eq!(gone.requests(), 1, "nothing more is sent");
}
