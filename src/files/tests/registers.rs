//! The registers.

use super::*;
use crate::domain::plan::Employment;

#[test]
fn clients() {
    let client: ClientRow = only(
        "contract,client_ref,lat,lon,fence_m,display_name,phone,from\n\
         default,K-1,51.48,-0.32,75,Mary Smith,07700 900123,2019-02-04\n",
    );
    let home = client.home.unwrap();
    assert_eq!((home.lat, home.lon, client.fence_m), (51.48, -0.32, Some(75.0)));
    assert_eq!(client.display_name.as_deref(), Some("Mary Smith"));
    assert_eq!(client.phone.as_deref(), Some("07700 900123"));
    assert_eq!(client.from.unwrap().to_string(), "2019-02-04");

    let name = "Mary".repeat(51);
    let file = format!(
        "contract,client_ref,lat,lon,fence_m,display_name,phone,from\n\
         default,K-1,,,,,,\n\
         default,K-1,90.1,-180.1,0,{name},\"07700\n900123\",4/2/2019\n\
         default,K-1,51,,100000.1,,,2019-02-04\n\
         default,K-1,,0,NaN,,,2019-02-04\n\
         default,K-1,,,100000,,,\n"
    );
    check_bad::<ClientRow>(
        &file,
        &[
            "line 3, lat: must be a number from -90 to 90",
            "line 3, lon: must be a number from -180 to 180",
            "line 3, fence_m: must be a number of metres above 0 and up to 100000",
            "line 3, display_name: too long: at most 200 characters",
            "line 3, phone: must not contain control characters",
            "line 3, from: \"4/2/2019\": write a date as 2019-02-04",
            "line 5, lon: is missing; lat needs it",
            "line 5, fence_m: must be",
            "line 6, lat: is missing; lon needs it",
            "line 6, fence_m: must be",
            "line 6, client_ref: the row of line 5 has the same contract, client_ref and from",
            "line 7, client_ref: the row of line 2 has the same",
        ],
    );
    let (_, findings) = read::<ClientRow>(file.as_bytes());
    let text = findings.bad.to_string();
    assert!(!text.contains("Mary") && !text.contains("07700"), "{text}");
}

#[test]
fn carers_devices_and_tags() {
    let carer: CarerRow =
        only("carer_ref,contract,employment,display_name\nC-1,default,temporary,\n");
    assert_eq!((carer.employment, carer.display_name), (Employment::Temporary, None));
    let device: DeviceRow = only("contract,device_ref,client_ref\ndefault,D-1,K-1\n");
    assert_eq!((device.device_ref.as_str(), device.from), ("D-1", None));
    let tag: TagRow = only("contract,tag,client_ref,from\ndefault,T-1,K-1,2019-02-04\n");
    assert_eq!((tag.tag.as_str(), tag.from.unwrap().to_string().as_str()), ("T-1", "2019-02-04"));

    check_bad::<DeviceRow>(
        "contract,device_ref,client_ref,from\n\
         default,D-1,K-1,\n\
         default,D-1,K-2,2019-02-04\n\
         default,D-1,K-3,2019-02-04\n\
         default,D-1,,\n",
        &[
            "line 4, device_ref: the row of line 3 has the same contract, device_ref and from",
            "line 5, client_ref: is missing",
            "line 5, device_ref: the row of line 2",
        ],
    );
    check_bad::<TagRow>(
        "contract,tag,client_ref\ndefault,T-1,K-1\ndefault,T-1,K-2\n",
        &["line 3, tag: the row of line 2 has the same contract, tag and from"],
    );
}

#[test]
fn suspensions() {
    let (rows, findings) = read::<Suspension>(
        b"contract,client_ref,from,reason,to,notified_at\n\
          default,K-1,2019-02-04T09:00,hospital,,\n\
          default,K-1,2019-07-04 09:00,away,2019-07-05T09:00Z,2019-07-01T10:00\n\
          default,K-2,2019-10-27T01:30,away,2019-10-27T01:15Z,\n",
    );
    assert!(findings.is_good());
    let told = |at: Instant| format_instant(at);
    let shown: Vec<_> = rows
        .iter()
        .map(|(_, row)| (told(row.from), row.to.map(told), told(row.notified_at)))
        .collect();
    let row = |from: &str, to: Option<&str>, notified_at: &str| {
        (from.to_owned(), to.map(str::to_owned), notified_at.to_owned())
    };
    assert_eq!(
        shown,
        [
            row("2019-02-04T09:00:00Z", None, "2019-02-04T09:00:00Z"),
            row("2019-07-04T08:00:00Z", Some("2019-07-05T09:00:00Z"), "2019-07-01T09:00:00Z"),
            row("2019-10-27T00:30:00Z", Some("2019-10-27T01:15:00Z"), "2019-10-27T00:30:00Z"),
        ]
    );
    assert_eq!(
        findings.warnings.to_string(),
        "line 4, from: the local time 2019-10-27 01:30 occurs twice, because the clocks go back; \
         read as 2019-10-27 01:30 +01:00\n"
    );
    check_bad::<Suspension>(
        "contract,client_ref,from,reason,to\n\
         default,K-1,2019-07-04T09:00,,2019-07-04T08:00Z\n\
         default,K-1,2019-07-04T08:00Z,away,x\n\
         nowhere,K-1,,away,x\n",
        &[
            "line 2, reason: is missing",
            "line 2, to: must be after from",
            "line 3, to: \"x\": write a time",
            "line 3, client_ref: the row of line 2 has the same contract, client_ref and from",
            "line 4, contract: \"nowhere\"",
            "line 4, from: is missing",
            "line 4, to: \"x\": write a time",
        ],
    );
}
