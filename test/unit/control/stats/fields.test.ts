/** The columns of `show stat`: names and places that tools rely on. */
import { describe, expect, test } from "bun:test";

import { STAT_CSV_HEADER } from "../../../../src/control/stats/dump.ts";
import { AT, STAT_COUNT, STAT_FIELDS } from "../../../../src/control/stats/fields.ts";
import { INFO_FIELDS } from "../../../../src/control/stats/info.ts";
import { QUIC_STAT_FIELDS } from "../../../../src/control/stats/quic-fields.ts";

/** Recorded from HAProxy 2.6.12, without what follows its column `-`. */
const HEADER_2_6 =
  "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr," +
  "wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle," +
  "lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx," +
  "hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,req_tot," +
  "cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,ctime," +
  "rtime,ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise," +
  "check_fall,check_health,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate," +
  "conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,reuse,cache_lookups,cache_hits," +
  "srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur," +
  "used_conn_cur,need_conn_est,uweight,agg_server_status,agg_server_check_status," +
  "agg_check_status,";

/** What newer versions have behind them (management manual 9.1, numbers 103 and up). */
const NEWER =
  "srid,sess_other,h1sess,h2sess,h3sess,req_other,h1req,h2req,h3req,proto,priv_idle_cur,reqbin," +
  "reqbout,resbin,resbout,cache_hint_hits,-,";

/** HAProxy's QUIC module behind `-`: names and order of a development version of 3.4. */
const QUIC_HAPROXY =
  "quic_rxbuf_full,quic_dropped_pkt,quic_dropped_pkt_bufoverrun,quic_dropped_parsing_pkt," +
  "quic_socket_full,quic_sendto_err,quic_sendto_err_unknwn,quic_sent_pkt,quic_lost_pkt," +
  "quic_too_short_dgram,quic_retry_sent,quic_retry_validated,quic_retry_error," +
  "quic_half_open_conn,quic_hdshk_fail,quic_stless_rst_sent,quic_conn_migration_done," +
  "quic_transp_err_no_error,quic_transp_err_internal_error," +
  "quic_transp_err_connection_refused,quic_transp_err_flow_control_error," +
  "quic_transp_err_stream_limit_error,quic_transp_err_stream_state_error," +
  "quic_transp_err_final_size_error,quic_transp_err_frame_encoding_error," +
  "quic_transp_err_transport_parameter_error,quic_transp_err_connection_id_limit," +
  "quic_transp_err_protocol_violation_error,quic_transp_err_invalid_token," +
  "quic_transp_err_application_error,quic_transp_err_crypto_buffer_exceeded," +
  "quic_transp_err_key_update_error,quic_transp_err_aead_limit_reached," +
  "quic_transp_err_no_viable_path,quic_transp_err_crypto_error," +
  "quic_transp_err_unknown_error,quic_data_blocked,quic_stream_data_blocked," +
  "quic_streams_blocked_bidi,quic_streams_blocked_uni,quic_ncbuf_gap_limit,";

describe("columns", () => {
  test("are those of HAProxy 2.6, then the newer ones", () => {
    expect(STAT_CSV_HEADER).toStartWith(HEADER_2_6 + NEWER + QUIC_HAPROXY);
    expect(STAT_CSV_HEADER).toEndWith(",quic_cwnd_max,\n");
  });

  test("have places of their own", () => {
    expect(AT.pxname).toBe(0);
    expect(AT.agg_check_status).toBe(102);
    const names = [...STAT_FIELDS, ...QUIC_STAT_FIELDS].map(({ name }) => name);
    expect(new Set(names).size).toBe(STAT_COUNT + QUIC_STAT_FIELDS.length);
  });

  test("carry tags of the manual's letters", () => {
    for (const { tags } of [...STAT_FIELDS, ...QUIC_STAT_FIELDS, ...INFO_FIELDS]) {
      expect(tags).toMatch(/^[MSKCP][AaCDGLMmNORT][CPSs][VP]$/);
    }
  });
});

describe("show info", () => {
  test("has each field once, and places that only grow", () => {
    expect(new Set(INFO_FIELDS.map(({ name }) => name)).size).toBe(INFO_FIELDS.length);
    const places = INFO_FIELDS.map(({ at }) => at);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(new Set(places).size).toBe(places.length);
  });
});
